"""`tunery-server audit`: whether the audit log is as it was written."""

import typer

app = typer.Typer(help="The audit log.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group of its own, though it has one command."""


@app.command()
def verify() -> None:
    """Check every project's chain of hashes; name the first entry that does not hold.

    Exit code 1 when one does not. Write the heads down elsewhere, to compare them later: they
    change only when something is logged.
    """
    from service.cli.audit_log import verify_chains
    from service.cli.targets import operator_settings

    broken = False
    for project_id, head, failure in verify_chains(operator_settings()):
        if failure is None:
            typer.echo(f"ok      {project_id}  {head.entries} entries  head {head.hash or '-'}")
            continue
        broken = True
        entry = failure.entry_id or "missing"
        typer.echo(f"BROKEN  {project_id}  entry {failure.number} ({entry}): {failure.reason}")
    if broken:
        raise typer.Exit(1)
