"""What commands print: answers to stdout, everything else to stderr."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from tunery._exceptions import APIError, TuneryError
from tunery._types import APIObject

_PIPE_WIDTH = 1000
"""Columns of a table that no terminal limits, so that no id is cut."""


def stdout() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_PIPE_WIDTH)


def stderr() -> Console:
    return Console(stderr=True, highlight=False)


def complain(message: str) -> None:
    """One line on stderr, whatever the width of the terminal."""
    typer.secho(f"error: {message}", err=True, fg=typer.colors.RED)


def one_line(error: TuneryError) -> str:
    """The message with what a person or a program can act on."""
    if not isinstance(error, APIError):
        return str(error)
    named = {"code": error.code, "param": error.param, "request": error.request_id}
    details = ", ".join(f"{name} {value}" for name, value in named.items() if value)
    message = " ".join(error.message.split())
    return f"{message} ({details})" if details else message


def hint(message: str) -> None:
    """What to do next, where it does not get in the way of a pipe."""
    typer.echo(message, err=True)


def print_json(answer: APIObject, *, is_line: bool = False) -> None:
    """The answer as the server gave it, unknown fields included."""
    dumped = answer.model_dump(mode="json", exclude_unset=True)
    typer.echo(json.dumps(dumped, ensure_ascii=False, indent=None if is_line else 2))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"
    for row in rows:
        table.add_row(*map(Text, row))  # as it is: a name may look like markup or an emoji
    stdout().print(table)


def print_fields(fields: dict[str, object]) -> None:
    """One field a line; those that say nothing are left out."""
    shown = {name: value for name, value in fields.items() if value not in (None, "", {}, ())}
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        typer.echo(f"{name:<{width}}  {value}")


def local_time(unix_seconds: int) -> str:
    return datetime.fromtimestamp(unix_seconds).strftime("%Y-%m-%d %H:%M:%S")


def upload_bar() -> Progress:
    return Progress(
        TextColumn("uploading {task.description}"),
        BarColumn(),
        DownloadColumn(),
        console=stderr(),
        transient=True,
    )
