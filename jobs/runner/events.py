"""What a job tells its owner, in words and with a `code` for programs."""

from dataclasses import asdict

from service.core.datasets import Report
from service.core.domain.jobs import DataFacts, EventLevel, FineTuningJob, JobError, NewEvent
from service.core.errors import ServiceError

_FINDINGS_TOLD = 3
_FINDINGS_LISTED = 50


def files_validated(facts: DataFacts) -> NewEvent:
    return NewEvent(
        f"The files are valid: {facts.examples} examples with {facts.tokens} tokens. The job is "
        "queued.",
        data={"code": "files_validated", "examples": facts.examples, "tokens": facts.tokens},
    )


def rows_examined(param: str, report: Report) -> NewEvent:
    """`report` has found something; its errors end the job."""
    level = EventLevel.ERROR if report.errors else EventLevel.WARN
    if not report.errors and not report.warnings:
        level = EventLevel.INFO
    counts = report.by_code()
    found = ", ".join(f"{count.code} in {count.count}" for count in counts)
    first = "; ".join(finding.message for finding in report.kept[:_FINDINGS_TOLD])
    return NewEvent(
        f"{report.usable_rows} of {report.rows} rows of the {file_name(param)} are trained "
        f"on or measured. Found: {found}. {first}.",
        level=level,
        data={
            "code": "rows_examined",
            "param": param,
            "rows": report.rows,
            "usable_rows": report.usable_rows,
            "counts": [asdict(count) for count in counts],
            "findings": [asdict(finding) for finding in report.kept[:_FINDINGS_LISTED]],
        },
    )


def file_name(param: str) -> str:
    """As a person calls the file that a parameter names."""
    return param.rpartition(".")[2].replace("_", " ")


def attempt_started(number: int, *, after_step: int) -> NewEvent:
    """`after_step`: of the checkpoint that it goes on from; 0 for the beginning."""
    place = f"after step {after_step}" if after_step else "from the beginning"
    again = "" if number == 1 else f" (attempt {number}, {place})"
    return NewEvent(
        f"Training has started{again}.",
        data={"code": "attempt_started", "attempt": number, "after_step": after_step},
    )


def paused() -> NewEvent:
    return NewEvent(
        "The training has stopped for the pause; what was trained is stored.",
        data={"code": "attempt_paused"},
    )


def attempt_lost(reason: str, *, level: EventLevel = EventLevel.WARN) -> NewEvent:
    return NewEvent(
        f"The attempt ended early and will be repeated: {reason}.",
        level=level,
        data={"code": "attempt_lost", "reason": reason},
    )


def reported_to_wandb(url: str) -> NewEvent:
    return NewEvent(
        f"The metrics are logged to the W&B run {url}.", data={"code": "wandb_run", "url": url}
    )


def wandb_failed(problem: str | None) -> NewEvent:
    return NewEvent(
        f"The metrics are not logged to W&B, or not all: {problem}. The training goes on.",
        level=EventLevel.WARN,
        data={"code": "wandb_failed", "problem": problem},
    )


def waiting(reason: ServiceError) -> NewEvent:
    return NewEvent(reason.message, data={"code": "waiting"})


def checkpoint_stored(step: int, model_name: str) -> NewEvent:
    return NewEvent(
        f"Checkpoint of step {step} is stored; it answers as {model_name}.",
        data={"code": "checkpoint_stored", "step": step, "model": model_name},
    )


def stopped_early(best_step: int) -> NewEvent:
    return NewEvent(
        "The validation file has stopped getting better, so the training ends early; the "
        f"checkpoint of step {best_step} becomes the model.",
        data={"code": "stopped_early", "best_step": best_step},
    )


def model_published(job: FineTuningJob) -> NewEvent:
    return NewEvent(
        f"The model {job.reserved_model_name} is ready.",
        data={"code": "model_published", "model": job.reserved_model_name},
    )


def job_succeeded() -> NewEvent:
    return NewEvent("The job has succeeded.", data={"code": "job_succeeded"})


def job_failed(error: JobError) -> NewEvent:
    return NewEvent(
        f"The job has failed: {error.message}",
        level=EventLevel.ERROR,
        data={"code": "job_failed", "error": error.code, "param": error.param},
    )
