"""From a job of the source to the request for the same job here. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from tunery._calls.jobs import JobRequest
from tunery._calls.methods import Method
from tunery.migration.source import SourceJob

OLD_MODEL = "migrated_model"
"""The tuned name that it had at the source."""
_MAX_PAIRS = 16
_MAX_VALUE = 512
_SUFFIX = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Origin:
    """By which a job here is known again: one pair of its metadata."""

    kind: Literal["migrated_from", "captured_from"]
    """Whether it learned from the data set or from the old model's answers: two jobs."""
    job_id: str
    """At the source."""

    def metadata(self) -> dict[str, str]:
        return {self.kind: self.job_id}

    def __str__(self) -> str:
        return f"{self.kind} {self.job_id}"


@dataclass(frozen=True)
class Recreation:
    """How a job is made again."""

    request: JobRequest
    notes: tuple[str, ...]
    """What is not as it was."""


def why_not(job: SourceJob) -> str | None:
    """Why a job is not made again; None if it can be."""
    if job.status == "succeeded" and job.fine_tuned_model:
        return None
    if job.status == "failed":
        return f"failed at the source: {job.failure}"
    if job.status in ("cancelled", "succeeded"):
        return f"{job.status} at the source, and left no model"
    return f"still {job.status} at the source; run this again once it has ended"


def recreation(
    job: SourceJob,
    *,
    origin: Origin,
    model: str,
    training_file: str,
    validation_file: str | None,
    with_hyperparameters: bool = True,
) -> Recreation:
    """The request, with model and files as they are called here. Without hyperparameters they are
    chosen anew, as for a job that gives none."""
    notes: list[str] = []
    request = JobRequest(
        model=model,
        training_file=training_file,
        method=cast(Method, _method(job, with_hyperparameters)),  # the server judges it
        metadata=_metadata(job, origin, notes),
    )
    if validation_file is not None:
        request["validation_file"] = validation_file
    if suffix := _suffix(job, notes):
        request["suffix"] = suffix
    if job.seed is not None:
        request["seed"] = job.seed
    if job.integrations:
        request["integrations"] = [_integration(each) for each in job.integrations]
    return Recreation(request, tuple(notes))


def without_integrations(again: Recreation, reason: str) -> Recreation:
    """For a server that refuses them: the key at the source cannot be read, and here is none."""
    request = again.request.copy()
    request.pop("integrations", None)
    return Recreation(request, (*again.notes, f"without its integrations: {reason}"))


def _integration(given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nulls(value) if isinstance(value, dict) else value
        for name, value in _without_nulls(given).items()
    }


def _method(job: SourceJob, with_hyperparameters: bool) -> dict[str, Any]:
    given = job.method or {}
    kind = given.get("type") or "supervised"
    options = _without_nulls(given.get(kind) or {})
    hyperparameters = _without_nulls(
        options.get("hyperparameters")
        or (job.hyperparameters if kind == "supervised" else {})
        or {}
    )
    if with_hyperparameters and hyperparameters:
        options["hyperparameters"] = hyperparameters
    else:
        options.pop("hyperparameters", None)
    return {"type": kind, kind: options}


def _without_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _metadata(job: SourceJob, origin: Origin, notes: list[str]) -> dict[str, str]:
    own = {**origin.metadata(), OLD_MODEL: (job.fine_tuned_model or "")[:_MAX_VALUE]}
    theirs = {name: value for name, value in (job.metadata or {}).items() if name not in own}
    room = _MAX_PAIRS - len(own)
    if len(theirs) > room:
        left_out = ", ".join(list(theirs)[room:])
        notes.append(f"metadata left out, since a job has at most {_MAX_PAIRS} pairs: {left_out}")
    return {**dict(list(theirs.items())[:room]), **own}


def _suffix(job: SourceJob, notes: list[str]) -> str | None:
    if job.suffix is None:
        return None
    suffix = _SUFFIX.sub("-", job.suffix).strip("-._") or None
    if suffix != job.suffix:
        notes.append(f"suffix {job.suffix!r} became {suffix!r}")
    return suffix
