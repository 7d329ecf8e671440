"""`tunery-server doctor`."""

import typer

from service.core.settings import Settings


def doctor() -> None:
    """Look for what would keep `up` from working here; exit code 1 when something would."""
    from service.cli.checks import checks_for

    settings = Settings.from_environment()
    findings = [check(settings) for check in checks_for(settings)]
    for finding in findings:
        mark = "ok  " if finding.mend is None else "FAIL"
        typer.echo(f"{mark} {finding.subject:<15} {finding.seen}")
        if finding.mend is not None:
            typer.echo(f"{'':21}→ {finding.mend}")
    if any(finding.mend for finding in findings):
        raise typer.Exit(1)
