"""Watching a job from the command line, and what its end means."""

import typer

from tunery._cli.output import complain, hint, local_time, print_json, stderr
from tunery._sync import Tunery
from tunery._types import FineTuningJob, JobEvent
from tunery.progress import JobDisplay, duration

EXIT_CODES = {"succeeded": 0, "failed": 100, "cancelled": 101}
DETACHED = 130
"""What a shell expects of a program that Ctrl-C ended."""


def watch(client: Tunery, job_id: str, *, as_json: bool = False) -> FineTuningJob:
    """Follow a job to its end, with a bar or with one JSON event a line.

    Ctrl-C leaves the program, and the job to itself.
    """
    jobs = client.fine_tuning.jobs
    try:
        if as_json:
            return jobs.wait(job_id, on_event=lambda event: print_json(event, is_line=True))
        with JobDisplay(stderr()) as display:
            return jobs.wait(job_id, on_event=display.on_event, on_job=display.on_job)
    except KeyboardInterrupt:
        hint(
            f"Detached; {job_id} goes on.\n"
            f"Watch it again: tunery jobs logs -f {job_id}\n"
            f"Stop it: tunery jobs cancel {job_id}"
        )
        raise typer.Exit(DETACHED) from None


def tell_events(client: Tunery, job_id: str, *, as_json: bool) -> None:
    """All that happened so far, oldest first."""
    events = list(client.fine_tuning.jobs.events(job_id, limit=100))[::-1]
    for event in events:
        if as_json:
            print_json(event, is_line=True)
        else:
            typer.echo(event_line(event))


def report_end(job: FineTuningJob) -> None:
    """One line for what became of the job, and what to do next."""
    if job.status == "succeeded":
        took = duration((job.finished_at or job.created_at) - job.created_at)
        typer.echo(f"{job.id} succeeded in {took}: {job.fine_tuned_model}")
        hint(f'Ask it: tunery chat --model {job.fine_tuned_model} "Hello"')
    elif job.status == "failed" and job.error:
        named = {"code": job.error.code, "param": job.error.param, "job": job.id}
        details = ", ".join(f"{name} {value}" for name, value in named.items() if value)
        complain(f"{job.error.message} ({details})")
    else:
        complain(f"{job.id} {job.status}")


def exit_code(job: FineTuningJob) -> int:
    """0 for success, 100 for failure, 101 for a job that was cancelled."""
    return EXIT_CODES[job.status]


def event_line(event: JobEvent) -> str:
    level = "" if event.level == "info" else f"{event.level}: "
    return f"{local_time(event.created_at)}  {level}{event.message}"
