"""`tunery-server backup` and `tunery-server restore`."""

from typing import Annotated

import typer

_ADDRESS = "A folder, or s3://BUCKET[/PREFIX]."


def backup(
    to: Annotated[str, typer.Option("--to", metavar="PLACE", help=_ADDRESS)],
) -> None:
    """Copy the database and every object that it needs; the service may run meanwhile."""
    from service.cli.backup_jobs import back_up

    record = back_up(to)
    size = sum(kept.bytes for kept in record.objects.values())
    typer.echo(f"Backup {record.name}: the database and {len(record.objects)} objects, {size} B.")
    for key in record.vanished:
        typer.echo(f"No longer in the object store: {key}", err=True)


def restore(
    from_: Annotated[str, typer.Option("--from", metavar="PLACE", help=_ADDRESS)],
    name: Annotated[
        str | None, typer.Option("--backup", metavar="NAME", help="Which one; else the newest.")
    ] = None,
) -> None:
    """Put a backup into an empty data directory, or an empty database and bucket."""
    from service.cli.backup_jobs import put_back

    record = put_back(from_, name)
    typer.echo(f"Backup {record.name} is restored: {len(record.objects)} objects, each as it was.")


def add_commands(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)
