"""`tunery-server db`."""

import typer

app = typer.Typer(help="The database.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def upgrade() -> None:
    """Bring the schema to the newest version; safe to repeat, and from several machines at once."""
    from service.cli.targets import operator_settings
    from service.core.database import upgrade as migrate

    migrate(operator_settings().database_url)
    typer.echo("The database is at the newest version.")
