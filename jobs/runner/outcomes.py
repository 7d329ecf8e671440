"""How an attempt may end other than well. For the attempt itself and for the reconciler.

Each function writes within a transaction in which the caller has checked the claim. Work whose
job is over already is only removed.
"""

from dataclasses import asdict

from jobs.runner import batch_outcomes, events
from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.jobs import JobError, JobStatus, NewEvent
from service.core.domain.work import Claim, WorkKind
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.work import WorkRepository

INFRASTRUCTURE_FAILURES = 10
"""So many in a row without a new checkpoint end a job."""
UNEXPECTED_FAILURES = 3

_GAVE_UP = JobError(
    "infrastructure_failed",
    f"{INFRASTRUCTURE_FAILURES} attempts in a row were lost to the machinery (engine, storage, "
    "database or worker). Nothing is wrong with your files; create the job again once the "
    "service's operator has looked into it.",
    param=None,
)


def give_back(
    connection: Connection,
    scope: Scope,
    claim: Claim,
    event: NewEvent,
    *,
    pause_seconds: float = 0.0,
) -> None:
    """To the queue again, and nobody is to blame. An event that repeats the last is left out."""
    if claim.kind is WorkKind.BATCH:
        batch_outcomes.give_back(connection, scope, claim, pause_seconds=pause_seconds)
        return
    if _drop_if_over(connection, scope, claim):
        return
    _leave_running(connection, scope, claim.subject_id)
    written = EventRepository(connection, scope)
    last = written.list(claim.subject_id, after=None, limit=1).items
    if not last or last[0].message != event.message:
        written.append(claim.subject_id, [event])
    WorkRepository(connection).release(claim, failed=False, pause_seconds=pause_seconds)


def lose(
    connection: Connection,
    scope: Scope,
    claim: Claim,
    reason: str,
    *,
    limit: int = INFRASTRUCTURE_FAILURES,
    last_error: JobError = _GAVE_UP,
) -> None:
    """To the queue again, as a failure; the job fails with `last_error` at `limit` in a row."""
    if claim.kind is WorkKind.BATCH:
        batch_outcomes.lose(connection, scope, claim, limit=limit, last_error=last_error)
        return
    if _drop_if_over(connection, scope, claim):
        return
    failures = WorkRepository(connection).release(claim, failed=True)
    if failures >= limit and not _is_paused(connection, scope, claim):
        fail(connection, scope, claim, last_error)
        return
    _leave_running(connection, scope, claim.subject_id)
    EventRepository(connection, scope).append(claim.subject_id, [events.attempt_lost(reason)])


def fail(connection: Connection, scope: Scope, claim: Claim, error: JobError) -> None:
    """The job has failed for good; one that is paused meets the same fault when it is resumed."""
    if claim.kind is WorkKind.BATCH:
        batch_outcomes.fail(connection, scope, claim, error)
        return
    if _drop_if_over(connection, scope, claim):
        return
    if _is_paused(connection, scope, claim):
        lose(connection, scope, claim, error.message.rstrip("."))
        return
    JobRepository(connection, scope).move(claim.subject_id, JobStatus.FAILED, error=asdict(error))
    EventRepository(connection, scope).append(claim.subject_id, [events.job_failed(error)])
    WorkRepository(connection).remove(claim.kind, claim.subject_id)


def _drop_if_over(connection: Connection, scope: Scope, claim: Claim) -> bool:
    over = JobRepository(connection, scope).get(claim.subject_id).finished
    if over:
        WorkRepository(connection).remove(claim.kind, claim.subject_id)
    return over


def _is_paused(connection: Connection, scope: Scope, claim: Claim) -> bool:
    return JobRepository(connection, scope).get(claim.subject_id).status is JobStatus.PAUSED


def _leave_running(connection: Connection, scope: Scope, job_id: str) -> None:
    """A job whose files are being validated, that has not begun or is paused keeps its status."""
    jobs = JobRepository(connection, scope)
    if jobs.get(job_id).status is JobStatus.RUNNING:
        jobs.move(job_id, JobStatus.QUEUED, progress=None, estimated_finish=None)
