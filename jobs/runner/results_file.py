"""The result file: one CSV line a step, as OpenAI's column names have it."""

import csv
import io
from collections.abc import Sequence

from jobs.methods.reporting import StepReport

FILENAME = "step_metrics.csv"
_COLUMNS = {
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}
"""Column → metric."""


def results_csv(reports: Sequence[StepReport]) -> bytes:
    """Of every optimizer step; a cell is empty where nothing was measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", *_COLUMNS])
    for report in reports:
        if report.step:
            measured = [report.metrics.get(metric) for metric in _COLUMNS.values()]
            cells = ["" if value is None else f"{value:.6g}" for value in measured]
            writer.writerow([report.step, *cells])
    return text.getvalue().encode()
