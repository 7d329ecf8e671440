"""Operations on fine-tuning jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

import httpx2

from tunery._calls.methods import Method, Tuning
from tunery._calls.parts import cursor, merged, reading, segment
from tunery._flow import Call
from tunery._types import (
    Checkpoint,
    FineTuningJob,
    JobEvent,
    JobMetrics,
    JobRows,
    Page,
    Receipt,
)

RowsKind = Literal["all", "hardest", "never_learnt", "suspicious"]


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
    method: Method
    """`{"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}` and the like."""
    integrations: Sequence[Mapping[str, Any]]
    """`[{"type": "wandb", "wandb": {"project": "…"}}]`"""
    tuning: Tuning
    """What is trained, `{"type": "lora", "rank": 16}` by default."""
    exact: bool
    """Share no pass with another job, so that the same seed gives the same bytes."""
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


def stream_events(job_id: str, *, after: str | None) -> Call[httpx2.Response]:
    """The open answer, for whoever reads it and closes it; it goes on behind `after`."""
    return Call(
        "GET",
        f"{_path(job_id)}/events",
        lambda response: response,
        query={"stream": "true"},
        headers={} if after is None else {"Last-Event-ID": after},
        is_streamed=True,
    )


def metrics(job_id: str, *, points: int | None = None) -> Call[JobMetrics]:
    query = {} if points is None else {"points": str(points)}
    return Call("GET", f"{_path(job_id)}/metrics", reading(JobMetrics), query=query)


def rows(
    job_id: str, *, kind: RowsKind = "all", offset: int = 0, limit: int = 100
) -> Call[JobRows]:
    query = {"kind": kind, "offset": str(offset), "limit": str(limit)}
    return Call("GET", f"{_path(job_id)}/rows", reading(JobRows), query=query)


def receipt(job_id: str) -> Call[Receipt]:
    return Call("GET", f"{_path(job_id)}/receipt", reading(Receipt))


def _path(job_id: str) -> str:
    return f"fine_tuning/jobs/{segment(job_id)}"
