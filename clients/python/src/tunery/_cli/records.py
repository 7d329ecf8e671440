"""`tunery jobs metrics`, `rows`, `receipt`, `events` and `verify`: what a job leaves on record."""

from pathlib import Path
from typing import Annotated

import typer

from tunery._calls.jobs import RowsKind
from tunery._cli.options import AsJson, JobId, client_of
from tunery._cli.output import complain, hint, print_fields, print_json, print_table
from tunery._cli.values import json_file
from tunery._cli.watching import EXIT_CODES, event_line, tell_events
from tunery._types import Verification, VerificationResult

_DIFFERENT = 100
"""Exit code of a job that does not verify."""
_VERDICTS = {"equal": "equal", "within_tolerance": "within tolerance", "different": "different"}


def metrics(
    ctx: typer.Context,
    job_id: JobId,
    points: Annotated[int, typer.Option(min=2, max=10_000, help="At most, of a curve.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print a job's curves: a line a step, a column a metric."""
    found = client_of(ctx).fine_tuning.jobs.metrics(job_id, points=points)
    if as_json:
        print_json(found)
        return
    if not found.series:
        hint(f"No metrics yet. Wait for them: tunery jobs events {job_id} --follow")
        return
    curves = {name: {p.step: p.value for p in curve} for name, curve in found.series.items()}
    steps = sorted({step for curve in curves.values() for step in curve})
    print_table(
        ["step", *curves],
        [[str(step), *(_number(curve.get(step)) for curve in curves.values())] for step in steps],
    )


def rows(
    ctx: typer.Context,
    job_id: JobId,
    kind: Annotated[RowsKind, typer.Option(help="Which lines.")] = "hardest",
    offset: Annotated[int, typer.Option(min=0, help="Lines to pass over.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Lines to print.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Print what lines of the training file lost in each epoch."""
    page = client_of(ctx).fine_tuning.jobs.rows(job_id, kind=kind, offset=offset, limit=limit)
    if as_json:
        print_json(page)
        return
    if not page.data:
        hint(f"No such lines ({kind}).")
        return
    epochs = max(len(row.losses) for row in page.data)
    print_table(
        ["line", *(f"epoch {number}" for number in range(1, epochs + 1))],
        [[str(row.line), *map(_number, row.losses)] for row in page.data],
    )
    if page.has_more:
        hint(f"There are more: tunery jobs rows {job_id} --kind {kind} --offset {offset + limit}")


def receipt(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Print what a finished job's weights depend on."""
    found = client_of(ctx).fine_tuning.jobs.receipt(job_id)
    if as_json:
        print_json(found)
        return
    mixed = "" if found.unmixed else f", {found.mixed_steps} of them shared with other jobs"
    print_fields(
        {
            "job": found.job,
            "model": found.model,
            "base": f"{found.base} ({found.base_digest[:12]})",
            "data": ", ".join(f"{name} {digest[:12]}" for name, digest in found.data.items()),
            "method": found.method,
            "tuning": found.tuning,
            "hyperparameters": found.hyperparameters,
            "seed": found.seed,
            "attempts": found.attempts,
            "steps": f"{found.steps}{mixed}",
            "unmixed": "yes" if found.unmixed else "no",
            "checkpoint": found.checkpoint,
            "worker": found.worker,
            "engine": found.engine,
        }
    )
    hint(f"Keep it: tunery jobs receipt {job_id} --json > receipt.json")


def events(
    ctx: typer.Context,
    job_id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print events line by line, oldest first, as they happen; with --json one event a line."""
    client = client_of(ctx)
    if not follow:
        tell_events(client, job_id, as_json=as_json)
        return
    stream = client.fine_tuning.jobs.stream_events(job_id)
    for event in stream:
        if as_json:
            print_json(event, is_line=True)
        else:
            typer.echo(event_line(event))
    raise typer.Exit(EXIT_CODES.get(stream.status or "", 0))


def verify(
    ctx: typer.Context,
    job_id: JobId,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="To be replayed.")] = 10,
    kept: Annotated[
        Path | None,
        typer.Option("--receipt", help="A receipt that was kept, else the stored one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Replay a finished job's first steps and compare them with what it told and stored.

    The exit code is 0 for equal and within tolerance, 100 for different.
    """
    given = None if kept is None else json_file(kept, "--receipt")
    verifications = client_of(ctx).fine_tuning.jobs.verifications
    begun = verifications.create(job_id, steps=steps, receipt=given)
    ended = verifications.wait(job_id, begun.id)
    if as_json:
        print_json(ended)
    elif ended.result:
        _print_result(ended, ended.result)
    else:
        complain(ended.error.message if ended.error else f"{ended.id} {ended.status}")
    if ended.result is None:
        raise typer.Exit(EXIT_CODES[ended.status])
    if ended.result.verdict == "different":
        raise typer.Exit(_DIFFERENT)


def _print_result(verification: Verification, result: VerificationResult) -> None:
    weights = result.weights
    same = weights and ("the same bytes" if weights.is_equal else "other bytes")
    print_fields(
        {
            "job": verification.job_id,
            "verdict": _VERDICTS.get(result.verdict, result.verdict),
            "steps": f"{result.steps} replayed",
            "weights": weights and f"{same} after step {weights.step}",
            "largest difference": result.largest_difference and f"{result.largest_difference:.2g}",
            "the original ran": "unmixed"
            if result.unmixed
            else "mixed with other jobs, so that other bytes are no fault",
        }
    )
    if result.losses:
        print_table(
            ["step", f"{result.metric} then", "now"],
            [[str(s.step), _exact(s.original), _exact(s.replayed)] for s in result.losses],
        )
    for title, members in (
        ("receipt says", result.differences),
        ("receipt, of the machine", result.environment),
    ):
        if members:
            print_table(
                ["member", title, "found"],
                [[each.name, str(each.receipt), str(each.found)] for each in members],
            )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _exact(value: float | None) -> str:
    return "–" if value is None else repr(value)
