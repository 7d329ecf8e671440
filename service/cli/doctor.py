"""`tunery-server doctor`."""

import typer

from service.core.settings import Settings


def doctor() -> None:
    """Look for what would keep `up` from working here; exit code 1 when something would."""
    from service.cli.checks import checks_for, sandbox

    settings = Settings.from_environment()
    findings = [*(check(settings) for check in checks_for(settings)), *sandbox(settings)]
    for finding in findings:
        missed = "FAIL" if finding.is_needed else "off "
        mark = "ok  " if finding.mend is None else missed
        typer.echo(f"{mark} {finding.subject:<15} {finding.seen}")
        if finding.mend is not None:
            typer.echo(f"{'':21}→ {finding.mend}")
    if any(finding.mend and finding.is_needed for finding in findings):
        raise typer.Exit(1)
