"""Validation and training of fine-tuning jobs; everything is told as an event of the job."""

from dataclasses import asdict

from jobs.runner import events
from jobs.runner.outcomes.base import Outcomes
from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.jobs import JobError, JobStatus, NewEvent
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository


class JobOutcomes(Outcomes):
    """A paused job does not fail: it meets the same fault when it is resumed."""

    def is_over(self, connection: Connection, scope: Scope, subject_id: str, /) -> bool:
        return JobRepository(connection, scope).get(subject_id).finished

    def may_end(self, connection: Connection, scope: Scope, subject_id: str, /) -> bool:
        return JobRepository(connection, scope).get(subject_id).status is not JobStatus.PAUSED

    def leave(self, connection: Connection, scope: Scope, subject_id: str) -> None:
        """A job whose files are being validated, that has not begun or is paused keeps its
        status."""
        jobs = JobRepository(connection, scope)
        if jobs.get(subject_id).status is JobStatus.RUNNING:
            jobs.move(subject_id, JobStatus.QUEUED, progress=None, estimated_finish=None)

    def end(self, connection: Connection, scope: Scope, subject_id: str, error: JobError) -> None:
        JobRepository(connection, scope).move(subject_id, JobStatus.FAILED, error=asdict(error))
        EventRepository(connection, scope).append(subject_id, [events.job_failed(error)])

    def tell(self, connection: Connection, scope: Scope, subject_id: str, event: NewEvent) -> None:
        """One that repeats the last is left out."""
        written = EventRepository(connection, scope)
        last = written.list(subject_id, after=None, limit=1).items
        if not last or last[0].message != event.message:
            written.append(subject_id, [event])

    def tell_lost(self, connection: Connection, scope: Scope, subject_id: str, reason: str) -> None:
        EventRepository(connection, scope).append(subject_id, [events.attempt_lost(reason)])
