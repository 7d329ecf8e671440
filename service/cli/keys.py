"""`tunery-server keys`: API keys, and with them the projects."""

import time
from typing import Annotated

import typer

from service.core.domain.access import ApiKey

app = typer.Typer(help="API keys.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What or whom it is for.")] = "operator",
    project: Annotated[
        str | None, typer.Option(help="Its project, made when missing; else the default one.")
    ] = None,
) -> None:
    """Make a key and show it, this once: only its hash is stored."""
    from service.cli.key_store import create_key
    from service.cli.targets import operator_settings

    typer.echo(create_key(operator_settings(), name=name, project=project))


@app.command("list")
def list_() -> None:
    """Show every key, but not its secret."""
    from service.cli.key_store import list_keys
    from service.cli.targets import operator_settings

    for key in list_keys(operator_settings()):
        typer.echo(_line(key))


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
    created = time.strftime("%Y-%m-%d", time.gmtime(key.created_at))
    status = "active" if key.revoked_at is None else "revoked"
    return f"{key.id}  …{key.last4}  {created}  {status:<7}  {key.project_id}  {key.name}"
