"""Waiting for a job or a long operation, as a flow."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from tunery._calls import jobs as calls
from tunery._config import ClientConfig
from tunery._exceptions import WaitTimeoutError
from tunery._flow import Call, Flow, Pause
from tunery._perform import perform
from tunery._types import FineTuningJob, JobEvent, Operation

_MIN_RETRIES = 10
"""Patience with a server that restarts: about a minute of repetitions a request."""
_EVENTS_A_PAGE = 100

Op = TypeVar("Op", bound=Operation)


@dataclass(frozen=True)
class Follower:
    """How to wait, and whom to tell."""

    on_event: Callable[[JobEvent], object] | None = None
    on_job: Callable[[FineTuningJob], object] | None = None
    poll_seconds: float = 1.0
    timeout_seconds: float | None = None


def follow(job_id: str, follower: Follower, config: ClientConfig) -> Flow[FineTuningJob]:
    """Poll until the job is finished; tell of its events, oldest first, each once.

    The job is read before its events, so that those of its end are not missed.
    """
    patient = replace(config, max_retries=max(config.max_retries, _MIN_RETRIES))
    started = time.monotonic()
    last_seen: str | None = None
    while True:
        job = yield from perform(calls.retrieve(job_id), patient)
        if follower.on_event:
            for event in (yield from _events_since(job_id, last_seen, patient)):
                follower.on_event(event)
                last_seen = event.id
        if follower.on_job:
            follower.on_job(job)
        if job.is_finished:
            return job
        limit = follower.timeout_seconds
        if limit is not None and time.monotonic() - started > limit:
            raise WaitTimeoutError(f"{job_id} is still {job.status} after {limit:g} s")
        yield Pause(follower.poll_seconds)


def until_finished(
    call: Call[Op],
    config: ClientConfig,
    *,
    on_progress: Callable[[Op], object] | None,
    poll_seconds: float,
    timeout_seconds: float | None,
) -> Flow[Op]:
    """Look at a long operation until it has ended, in whichever way."""
    patient = replace(config, max_retries=max(config.max_retries, _MIN_RETRIES))
    started = time.monotonic()
    while True:
        operation = yield from perform(call, patient)
        if on_progress:
            on_progress(operation)
        if operation.is_finished:
            return operation
        if timeout_seconds is not None and time.monotonic() - started > timeout_seconds:
            raise WaitTimeoutError(
                f"{operation.id} is still {operation.status} after {timeout_seconds:g} s"
            )
        yield Pause(poll_seconds)


def _events_since(job_id: str, last_seen: str | None, config: ClientConfig) -> Flow[list[JobEvent]]:
    """Events that came after the one named, oldest first; the server lists the newest first."""
    fresh: list[JobEvent] = []
    call = calls.list_events(job_id, limit=_EVENTS_A_PAGE)
    while True:
        page = yield from perform(call, config)
        for event in page.data:
            if event.id == last_seen:
                return fresh[::-1]
            fresh.append(event)
        if not page.has_more or not page.data:
            return fresh[::-1]
        call = call.with_query(after=page.data[-1].id)
