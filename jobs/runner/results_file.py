"""The result files: a CSV line a step, and what a method has to tell beside numbers."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.methods.reporting import StepReport
from service.core.domain.jobs import FineTuningJob

_COLUMNS = {
    "train_loss": "train_loss",
    "train_accuracy": "train_mean_token_accuracy",
    "valid_loss": "valid_loss",
    "valid_mean_token_accuracy": "valid_mean_token_accuracy",
}
"""Column → metric, as OpenAI names them; they are there whatever was measured."""
_ELSEWHERE = frozenset({"tokens_per_second"})
"""Says more of the machine than of the job."""
_REPORT = "classification_report"


@dataclass(frozen=True)
class ResultFile:
    """To be stored."""

    name: str
    content: bytes


def result_files(job: FineTuningJob, reports: Sequence[StepReport]) -> list[ResultFile]:
    """The steps, and of a classification the last report on its labels."""
    files = [ResultFile("step_metrics.csv", results_csv(reports))]
    found = [report for report in reports if _REPORT in report.details]
    if found:
        labels = list(job.facts.labels) if job.facts else []
        content = {"step": found[-1].step, "label_order": labels, **found[-1].details[_REPORT]}
        text = json.dumps(content, indent=2, ensure_ascii=False)
        files.append(ResultFile(f"{_REPORT}.json", text.encode()))
    return files


def results_csv(reports: Sequence[StepReport]) -> bytes:
    """Of every optimizer step; a cell is empty where nothing was measured. Step 0, the state
    before the first, is told if the whole validation file was measured."""
    columns = dict(_COLUMNS)
    for name in sorted({name for report in reports for name in report.metrics}):
        if name not in columns.values() and name not in _ELSEWHERE:
            columns[name] = name
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", *columns])
    for report in reports:
        measured = [report.metrics.get(metric) for metric in columns.values()]
        cells = ["" if value is None else f"{value:.6g}" for value in measured]
        writer.writerow([report.step, *cells])
    return text.getvalue().encode()
