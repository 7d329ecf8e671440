"""Operations on fine-tuning jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, Required, TypedDict

from tunery._calls.parts import cursor, merged, reading, segment
from tunery._flow import Call
from tunery._types import Checkpoint, FineTuningJob, JobEvent, Page


class JobRequest(TypedDict, total=False):
    """What `jobs.create` takes; a field left out is the server's choice."""

    model: Required[str]
    """A base, a tuned model or a checkpoint to start from."""
    training_file: Required[str]
    """Id of a file with purpose fine-tune."""
    validation_file: str | None
    suffix: str | None
    """1 to 64 characters that become part of the tuned model's name."""
    seed: int | None
    metadata: Mapping[str, str] | None
    method: Mapping[str, Any]
    """`{"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}` and the like."""
    integrations: Sequence[Mapping[str, Any]]
    """`[{"type": "wandb", "wandb": {"project": "…"}}]`"""
    tuning: Mapping[str, Any]
    """What is trained, `{"type": "lora", "rank": 16}` by default."""
    extra_body: Mapping[str, Any]
    """Further fields of the request."""


def create(request: JobRequest) -> Call[FineTuningJob]:
    return Call("POST", "fine_tuning/jobs", reading(FineTuningJob), body=merged(request))


def list_page(
    *,
    metadata: Mapping[str, str] | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> Call[Page[FineTuningJob]]:
    query = cursor(limit=limit, after=after)
    query |= {f"metadata[{name}]": value for name, value in (metadata or {}).items()}
    return Call("GET", "fine_tuning/jobs", reading(Page[FineTuningJob]), query=query)


def retrieve(job_id: str) -> Call[FineTuningJob]:
    return Call("GET", _path(job_id), reading(FineTuningJob))


def cancel(job_id: str) -> Call[FineTuningJob]:
    return Call("POST", f"{_path(job_id)}/cancel", reading(FineTuningJob))


def pause(job_id: str) -> Call[FineTuningJob]:
    return Call("POST", f"{_path(job_id)}/pause", reading(FineTuningJob))


def resume(job_id: str) -> Call[FineTuningJob]:
    return Call("POST", f"{_path(job_id)}/resume", reading(FineTuningJob))


def list_events(
    job_id: str, *, limit: int | None = None, after: str | None = None
) -> Call[Page[JobEvent]]:
    query = cursor(limit=limit, after=after)
    return Call("GET", f"{_path(job_id)}/events", reading(Page[JobEvent]), query=query)


def list_checkpoints(
    job_id: str, *, limit: int | None = None, after: str | None = None
) -> Call[Page[Checkpoint]]:
    query = cursor(limit=limit, after=after)
    return Call("GET", f"{_path(job_id)}/checkpoints", reading(Page[Checkpoint]), query=query)


def _path(job_id: str) -> str:
    return f"fine_tuning/jobs/{segment(job_id)}"
