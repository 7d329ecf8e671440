"""The commands together, what they share, and how their errors look."""

from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tunery._cli import chat, classify, data, files, jobs, migrate, models
from tunery._cli.output import complain, one_line
from tunery._exceptions import TuneryError
from tunery._sync import Tunery
from tunery._version import __version__

FAILURE = 1


class _Root(TyperGroup):
    """Turns what a command raises into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except TuneryError as error:
            complain(one_line(error))
        except (OSError, ValueError) as error:
            complain(str(error))
        raise typer.Exit(FAILURE)


app = typer.Typer(
    cls=_Root,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Fine-tune models on a Tunery server and chat with them.",
)
app.add_typer(files.app, name="files")
app.add_typer(jobs.app, name="jobs")
app.add_typer(models.app, name="models")
app.add_typer(migrate.app, name="migrate")
app.command()(chat.chat)
app.command()(data.preview)
app.command()(classify.classify)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    base_url: Annotated[
        str | None, typer.Option(help="Address of the server, else TUNERY_BASE_URL.")
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    if ctx.obj is None:  # tests bring a client of their own
        ctx.obj = partial(Tunery, base_url=base_url)
