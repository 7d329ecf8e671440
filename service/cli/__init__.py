"""The program `tunery-server`. Every command imports its process only when it is called, so that
none loads what another needs."""

import typer

from service.cli import audit, database, doctor, keys, models, processes
from service.core.errors import ServiceError

_FAILED = 2

app = typer.Typer(
    name="tunery-server",
    help="Fine-tune and serve language models behind the OpenAI API.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tunery-server {processes.installed_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    pass


processes.add_commands(app)
app.add_typer(database.app, name="db")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")
app.add_typer(audit.app, name="audit")
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run a command. A failure we know is one line and exit code 2, never a traceback."""
    try:
        app()
    except ServiceError as error:
        typer.echo(f"tunery-server: {error.message}", err=True)
        raise SystemExit(_FAILED) from None
