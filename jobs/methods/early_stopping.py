"""Stopping when the validation file no longer gets better.

What is known depends on reports alone, so that a resumed training decides as an uninterrupted one.
"""

from collections.abc import Sequence

from jobs.methods.reporting import StepReport

WATCHED = "full_valid_loss"
"""The metric by which one checkpoint is better than another; lower is better."""


class EarlyStopping:
    """Counts evaluations of the whole validation file without a new best."""

    def __init__(self, patience: int | None, told: Sequence[StepReport] = ()) -> None:
        self._patience = patience
        self._best: tuple[int, float] | None = None
        self._without = 0
        for report in told:
            self.take_in(report)

    @property
    def is_wanted(self) -> bool:
        return self._patience is not None

    @property
    def is_over(self) -> bool:
        return self._patience is not None and self._without >= self._patience

    def is_best(self, step: int) -> bool:
        return self.is_wanted and self._best is not None and self._best[0] == step

    def take_in(self, report: StepReport) -> None:
        loss = report.metrics.get(WATCHED)
        if loss is None or not report.step:
            return
        if self._best is None or loss < self._best[1]:
            self._best, self._without = (report.step, loss), 0
        else:
            self._without += 1
