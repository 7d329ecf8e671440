"""Options and arguments that several commands take, the client they use, the model they mean."""

from typing import Annotated, cast

import typer

from tunery._exceptions import TuneryError
from tunery._sync import Tunery

AsJson = Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")]
Limit = Annotated[int, typer.Option(min=1, max=100, help="Longest list to print.")]
After = Annotated[str | None, typer.Option(help="Print what follows this id.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of a job, ftjob-…")]
FileId = Annotated[str, typer.Argument(metavar="FILE", help="Id of a file, file-…")]


def client_of(ctx: typer.Context) -> Tunery:
    """A client that is closed when the command ends."""
    return ctx.with_resource(cast(Tunery, ctx.obj()))


def default_model(client: Tunery) -> str:
    """What a command means that names no model: the server lists its default base first."""
    first = next(iter(client.models.list()), None)
    if first is None:
        raise TuneryError("the server lists no model; name one with --model")
    return first.id
