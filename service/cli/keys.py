"""`tunery-server keys`: API keys, and with them the projects."""

import time
from typing import Annotated

import typer

from service.core.domain.access import ApiKey, KeyScope

_DAY = 86400

app = typer.Typer(help="API keys.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What or whom it is for.")] = "operator",
    project: Annotated[
        str | None, typer.Option(help="Its project, made when missing; else the default one.")
    ] = None,
    scope: Annotated[
        list[KeyScope] | None,
        typer.Option(help="What it may do (again for more); `all` unless given."),
    ] = None,
    expires_days: Annotated[
        float | None, typer.Option(min=0.001, help="Days until it expires; never unless given.")
    ] = None,
) -> None:
    """Make a key and show it, this once: only its hash is stored."""
    from service.cli.key_store import create_key
    from service.cli.targets import operator_settings

    key = create_key(
        operator_settings(),
        name=name,
        scopes=frozenset(scope or [KeyScope.ALL]),
        project=project,
        expires_in=None if expires_days is None else expires_days * _DAY,
    )
    typer.echo(key)


@app.command("list")
def list_() -> None:
    """Show every key, but not its secret."""
    from service.cli.key_store import list_keys
    from service.cli.targets import operator_settings

    for key in list_keys(operator_settings()):
        typer.echo(_line(key))


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
    keep_old_hours: Annotated[
        float, typer.Option(min=0, max=168, help="The old key goes on for so long.")
    ] = 0,
) -> None:
    """Replace a key by another with its name and scopes, and show that, this once."""
    from service.cli.key_store import rotate_key
    from service.cli.targets import operator_settings

    typer.echo(rotate_key(operator_settings(), key_id, keep_old=keep_old_hours * 3600))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")],
) -> None:
    """Refuse a key from its next request on."""
    from service.cli.key_store import revoke_key
    from service.cli.targets import operator_settings

    revoke_key(operator_settings(), key_id)
    typer.echo(f"{key_id} is revoked.")


def _line(key: ApiKey) -> str:
    scopes = ",".join(sorted(key.scopes))
    used = "never used" if key.last_used_at is None else f"used {_day(key.last_used_at)}"
    return (
        f"{key.id}  …{key.last4}  {_day(key.created_at)}  {_status(key):<7}  {key.project_id}  "
        f"{scopes}  {used}  {key.name}"
    )


def _status(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at <= time.time() else "active"


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment))
