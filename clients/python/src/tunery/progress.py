"""A job's progress in a terminal: a bar with step, loss and time left; plain lines elsewhere.

with JobDisplay() as display:
    client.fine_tuning.jobs.wait(job, on_event=display.on_event, on_job=display.on_job)
"""

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from tunery._types import FineTuningJob, JobEvent

__all__ = ["JobDisplay"]


class JobDisplay:
    """Shows one job; give its two methods to `wait`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._loss: float | None = None
        self._step = 0
        self._printed_tenth = -1
        self._bar: Progress | None = None
        if self._console.is_terminal:
            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[account]}"),
                console=self._console,
            )
            self._task = self._bar.add_task("waiting", total=None, account="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def on_event(self, event: JobEvent) -> None:
        """Print a message; of metrics, note the loss.

        The error that ends a job is left to the caller, who finds it in the job.
        """
        self._loss = event.metrics.get("train_loss", self._loss)
        if event.type != "metrics" and event.level != "error":
            style = "yellow" if event.level == "warn" else "dim"
            self._console.print(Text(event.message, style), soft_wrap=True)

    def on_job(self, job: FineTuningJob) -> None:
        """Move on to where the job stands."""
        account = self._account(job)
        if self._bar:
            total = job.progress.total_steps if job.progress else None
            completed = job.progress.step if job.progress else 0
            if job.status == "succeeded":
                total = completed = total or 1
            self._bar.update(
                self._task,
                description=job.status,
                total=total,
                completed=completed,
                account=account,
            )
        elif self._is_due(job):
            self._console.print(account, highlight=False, soft_wrap=True)

    def _account(self, job: FineTuningJob) -> str:
        parts = []
        if job.progress:
            parts.append(f"step {job.progress.step}/{job.progress.total_steps}")
        if self._loss is not None:
            parts.append(f"loss {self._loss:.3f}")
        if job.estimated_finish is not None and not job.is_finished:
            parts.append(f"{duration(job.estimated_finish - time.time())} left")
        return " · ".join(parts)

    def _is_due(self, job: FineTuningJob) -> bool:
        """Whether enough happened since the last plain line."""
        if not job.progress or not job.progress.total_steps:
            return False
        tenth = 10 * job.progress.step // job.progress.total_steps
        is_due = tenth > self._printed_tenth
        self._printed_tenth = tenth
        return is_due


def duration(seconds: float) -> str:
    """`1:05` or `2:01:05`; nothing is shorter than `0:00`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
