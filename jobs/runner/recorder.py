"""Metrics and progress on their way to the database: in batches, at most one write a second.

A step that is computed again by a later attempt is not told again: events are only ever appended.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from jobs.methods.reporting import StepReport
from jobs.runner.attempt import Attempt
from service.core.domain.jobs import JobProgress, NewEvent
from service.core.errors import DatabaseUnavailable
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository

logger = logging.getLogger(__name__)

_WRITE_SECONDS = 1.0
_WORDS = {
    "train_loss": "training loss",
    "train_reward_mean": "training reward",
    "valid_loss": "validation loss",
    "full_valid_loss": "full validation loss",
    "valid_reward_mean": "validation reward",
}


class Recorder:
    """Keeps every report for the end of the job, and writes each to the events soon."""

    def __init__(
        self,
        attempt: Attempt,
        *,
        written: Sequence[StepReport] = (),
        after_step: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`written`: what earlier attempts told. Up to `after_step` it is this attempt's account
        too, which goes on from there."""
        self._attempt = attempt
        self._told = {report.step for report in written}
        self._clock = clock
        self._unwritten: list[StepReport] = []
        self._last_write = -math.inf
        self._first: tuple[int, float] | None = None
        """A step and when it was reported: the pace counts from there, after every warm-up."""
        self.reports: list[StepReport] = [
            report for report in written if after_step and report.step <= after_step
        ]

    def report(self, report: StepReport) -> None:
        """Take in a report; the first is written at once. Raises StaleEpoch.

        A database that is away costs nothing but delay: the lease, not this, ends the attempt.
        """
        report = replace(report, rows=())  # the ledger has them
        self.reports.append(report)
        self._unwritten.append(report)
        if report.step and self._first is None:
            self._first = (report.step, self._clock())
        if self._clock() - self._last_write < _WRITE_SECONDS:
            return
        try:
            self.flush()
        except DatabaseUnavailable as error:
            logger.warning("metrics of %s wait: %s", self._attempt.claim.subject_id, error)

    def flush(self) -> None:
        """Write what is unwritten. Raises StaleEpoch, DatabaseUnavailable."""
        self._last_write = self._clock()
        if not self._unwritten:
            return
        job_id, scope = self._attempt.claim.subject_id, self._attempt.scope
        last = self._unwritten[-1]
        with self._attempt.writing() as connection:
            fresh = [report for report in self._unwritten if report.step not in self._told]
            events = [metrics_event(report) for report in fresh]
            EventRepository(connection, scope).append(job_id, events)
            JobRepository(connection, scope).update_progress(
                job_id,
                JobProgress(last.step, last.total_steps, last.epoch),
                seconds_left=self._seconds_left(last),
            )
        self._unwritten = []

    def metrics_of(self, step: int) -> Mapping[str, float] | None:
        """What was measured at a step; None before its report."""
        for report in reversed(self.reports):
            if report.step == step:
                return finite(report.metrics)
        return None

    def _seconds_left(self, last: StepReport) -> float | None:
        if self._first is None or last.step == self._first[0]:
            return None
        step, reported_at = self._first
        pace = (self._clock() - reported_at) / (last.step - step)
        return pace * (last.total_steps - last.step)


def metrics_event(report: StepReport) -> NewEvent:
    """`Step 3/40: training loss=1.23`, with every metric in `data`."""
    metrics = finite(report.metrics)
    shown = ", ".join(f"{w}={metrics[name]:.2f}" for name, w in _WORDS.items() if name in metrics)
    return NewEvent(
        f"Step {report.step}/{report.total_steps}: {shown}",
        type="metrics",
        data={
            "step": report.step,
            "total_steps": report.total_steps,
            "epoch": report.epoch,
            "tokens": report.tokens,
            **metrics,
            **({"details": dict(report.details)} if report.details else {}),
        },
    )


def report_of(data: Mapping[str, Any]) -> StepReport:
    """The report that a metrics event tells of."""
    own = {"step", "total_steps", "epoch", "tokens", "details"}
    metrics = {name: float(value) for name, value in data.items() if name not in own}
    return StepReport(
        int(data["step"]),
        int(data["total_steps"]),
        float(data.get("epoch", 0)),
        metrics,
        tokens=int(data.get("tokens", 0)),
        details=data.get("details", {}),
    )


def finite(metrics: Mapping[str, float]) -> dict[str, float]:
    """Without infinities and NaN, which JSON does not know."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
