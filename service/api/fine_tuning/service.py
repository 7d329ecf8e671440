"""What can be done with fine-tuning jobs."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.api.fine_tuning.checks import check_file, check_method, place_to_start
from service.api.fine_tuning.integrations import check_integrations
from service.api.fine_tuning.requests import CreateJob
from service.core.database import Connection, Database
from service.core.domain.access import Principal
from service.core.domain.jobs import (
    Checkpoint,
    FineTuningJob,
    JobEvent,
    JobStatus,
    NewEvent,
)
from service.core.domain.work import WorkKind
from service.core.errors import (
    InvalidTransition,
    JobNotCancellable,
    JobNotPausable,
    JobNotResumable,
)
from service.core.ids import new_job_id, tuned_model_name
from service.core.repositories.audit import record
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.paging import Page
from service.core.repositories.quotas import QuotaRepository
from service.core.repositories.work import WorkRepository
from service.core.settings import WandbMode

_REPEAT_SECONDS = 600
"""Longer than all retries of an SDK take together."""
_EVENTS_AT_ONCE = 200
_WAITING = (JobStatus.VALIDATING_FILES, JobStatus.QUEUED)


@dataclass(frozen=True)
class JobView:
    """A job with what only other tables know of it."""

    job: FineTuningJob
    queue_position: int | None
    """While it waits: 1 is the next."""


@dataclass(frozen=True)
class JobLook:
    """A job and its next events, of one moment."""

    job: FineTuningJob
    events: Sequence[JobEvent]


class JobService:
    """Jobs of the caller's project."""

    def __init__(self, database: Database, *, pool: str, wandb_mode: WandbMode) -> None:
        self._database = database
        self._pool = pool
        self._wandb_mode = wandb_mode

    def create(self, principal: Principal, request: CreateJob, *, is_repeated: bool) -> JobView:
        """Make a job whose files are yet to be validated, and the work of doing so.

        A repeated request answers with the job that its first sending has made. Raises
        ModelNotFound, UnknownFile, UnsupportedParameter, InvalidHyperparameter,
        IntegrationUnavailable, JobQuotaExceeded.
        """
        request.check_supported()
        with self._database.transaction() as connection:
            jobs = JobRepository(connection, principal.scope)
            if is_repeated:
                made = jobs.find_repeated(request.fingerprint(), within_seconds=_REPEAT_SECONDS)
                if made is not None:
                    return _view(connection, made)
            return _view(connection, self._add(connection, principal, request))

    def _add(
        self, connection: Connection, principal: Principal, request: CreateJob
    ) -> FineTuningJob:
        scope = principal.scope
        QuotaRepository(connection, scope).require_place_for_job()
        method, hyperparameters = request.to_method(), request.to_hyperparameters()
        base, start = place_to_start(connection, scope, request.model)
        check_file(connection, scope, request.training_file, param="training_file")
        if request.validation_file is not None:
            check_file(connection, scope, request.validation_file, param="validation_file")
        check_method(connection, scope, method)
        integrations = request.to_integrations()
        check_integrations(connection, scope, integrations, mode=self._wandb_mode)
        job = JobRepository(connection, scope).add(
            new_job_id(),
            model=request.model,
            base=base,
            training_file=request.training_file,
            validation_file=request.validation_file,
            suffix=request.suffix,
            seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
            method=method,
            hyperparameters=hyperparameters,
            tuning=request.to_tuning(method),
            start=start,
            exact=request.exact,
            reserved_model_name=tuned_model_name(base, scope.organization, request.suffix),
            metadata=request.metadata,
            integrations=integrations,
            request_hash=request.fingerprint(),
        )
        created = NewEvent(f"Created fine-tuning job: {job.id}")
        EventRepository(connection, scope).append(job.id, [created])
        work = WorkRepository(connection)
        work.add(scope.project_id, WorkKind.VALIDATION, job.id, pool=self._pool)
        record(connection, principal, "fine_tuning.job.created", job.id)
        return job

    def list(
        self,
        principal: Principal,
        *,
        after: str | None,
        limit: int,
        metadata: Mapping[str, str],
        without_metadata: bool,
    ) -> Page[JobView]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            page = JobRepository(connection, principal.scope).list(
                after=after, limit=limit, metadata=metadata, without_metadata=without_metadata
            )
            return Page(tuple(_view(connection, job) for job in page.items), page.has_more)

    def get(self, principal: Principal, job_id: str) -> JobView:
        """Raises JobNotFound."""
        with self._database.snapshot() as connection:
            return _view(connection, JobRepository(connection, principal.scope).get(job_id))

    def cancel(self, principal: Principal, job_id: str, *, is_repeated: bool) -> JobView:
        """End a job for good. Its work goes with it, so a running attempt finds itself fenced.

        Raises JobNotFound and JobNotCancellable; a repeated request finds its own effect.
        """
        with self._database.transaction() as connection:
            jobs = JobRepository(connection, principal.scope)
            jobs.get(job_id)
            work = WorkRepository(connection)
            for kind in WorkKind:  # before the job, as workers do: two orders could deadlock
                work.remove(kind, job_id)
            try:
                job = jobs.move(job_id, JobStatus.CANCELLED)
            except InvalidTransition:
                job = jobs.get(job_id)
                if is_repeated and job.status == JobStatus.CANCELLED:
                    return _view(connection, job)
                raise JobNotCancellable(
                    f"Job {job_id} has already {_ENDED[job.status]}.", param="fine_tuning_job_id"
                ) from None
            _note(connection, principal, job_id, "cancelled")
            return _view(connection, job)

    def pause(self, principal: Principal, job_id: str, *, is_repeated: bool) -> JobView:
        """Let a job rest. A running attempt hears of it with its next beat or write, stores a last
        checkpoint and then gives up its place.

        Raises JobNotFound and JobNotPausable; a repeated request finds its own effect.
        """
        with self._database.transaction() as connection:
            jobs = JobRepository(connection, principal.scope)
            jobs.get(job_id)
            WorkRepository(connection).hold(WorkKind.TRAINING, job_id)
            try:
                job = jobs.move(job_id, JobStatus.PAUSED)
            except InvalidTransition:
                job = jobs.get(job_id)
                if is_repeated and job.status == JobStatus.PAUSED:
                    return _view(connection, job)
                raise JobNotPausable(
                    f"Job {job_id} {_UNPAUSABLE[job.status]}.", param="fine_tuning_job_id"
                ) from None
            _note(connection, principal, job_id, "paused")
            return _view(connection, job)

    def resume(self, principal: Principal, job_id: str, *, is_repeated: bool) -> JobView:
        """Queue a paused job, at its old age. If its attempt still stores, it waits for that.

        Raises JobNotFound and JobNotResumable; a repeated request finds its own effect.
        """
        with self._database.transaction() as connection:
            jobs = JobRepository(connection, principal.scope)
            jobs.get(job_id)
            WorkRepository(connection).unhold(WorkKind.TRAINING, job_id)
            job = jobs.get(job_id)
            if job.status is not JobStatus.PAUSED:
                if is_repeated and job.status in (JobStatus.QUEUED, JobStatus.RUNNING):
                    return _view(connection, job)
                raise JobNotResumable(
                    f"Job {job_id} is not paused; its status is {job.status.value!r}.",
                    param="fine_tuning_job_id",
                )
            job = jobs.move(job_id, JobStatus.QUEUED)
            _note(connection, principal, job_id, "resumed")
            return _view(connection, job)

    def list_events(
        self, principal: Principal, job_id: str, *, after: str | None, limit: int
    ) -> Page[JobEvent]:
        """Raises JobNotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            JobRepository(connection, principal.scope).get(job_id)
            events = EventRepository(connection, principal.scope)
            return events.list(job_id, after=after, limit=limit)

    def event_number(self, principal: Principal, job_id: str, event_id: str | None) -> int:
        """Its place among all events; 0 for None. Raises JobNotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            JobRepository(connection, principal.scope).get(job_id)
            if event_id is None:
                return 0
            return EventRepository(connection, principal.scope).number_of(job_id, event_id)

    def events_behind(self, principal: Principal, job_id: str, number: int) -> JobLook:
        """Raises JobNotFound."""
        with self._database.snapshot() as connection:
            job = JobRepository(connection, principal.scope).get(job_id)
            events = EventRepository(connection, principal.scope)
            return JobLook(job, events.list_behind(job_id, number, limit=_EVENTS_AT_ONCE))

    def list_checkpoints(
        self, principal: Principal, job_id: str, *, after: str | None, limit: int
    ) -> Page[Checkpoint]:
        """Raises JobNotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            JobRepository(connection, principal.scope).get(job_id)
            checkpoints = CheckpointRepository(connection, principal.scope)
            return checkpoints.list(job_id, after=after, limit=limit)


_ENDED = {
    JobStatus.SUCCEEDED: "succeeded",
    JobStatus.FAILED: "failed",
    JobStatus.CANCELLED: "been cancelled",
}


_UNPAUSABLE = {
    JobStatus.VALIDATING_FILES: "cannot be paused while its files are validated; repeat this once "
    "its status is 'queued'",
    JobStatus.PAUSED: "is paused already",
    **{status: f"has already {ended}" for status, ended in _ENDED.items()},
}


def _note(connection: Connection, principal: Principal, job_id: str, done: str) -> None:
    """Tell the job's owner, and the audit."""
    event = NewEvent(f"The job was {done}")
    EventRepository(connection, principal.scope).append(job_id, [event])
    record(connection, principal, f"fine_tuning.job.{done}", job_id)


def _view(connection: Connection, job: FineTuningJob) -> JobView:
    if job.status not in _WAITING:
        return JobView(job, None)
    ahead = WorkRepository(connection).waiting_before(job.id)
    return JobView(job, None if ahead is None else ahead + 1)
