"""One attempt at claimed work: run it under a heartbeat, then settle how it ended."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from jobs.runner import events
from jobs.runner.control import AttemptControl, Drained, NotYet, Paused
from jobs.runner.heartbeat import Heartbeat
from jobs.runner.outcomes import UNEXPECTED_FAILURES, outcomes_of
from jobs.runner.patience import patiently
from jobs.runner.resources import Resources
from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.jobs import EventLevel, JobError
from service.core.domain.work import Claim, WorkKind
from service.core.errors import (
    DatabaseUnavailable,
    InvalidRequest,
    InvalidTransition,
    ModelNotFound,
    ServiceError,
    SessionNotFound,
    StaleEpoch,
    TooManyRequests,
    TrainingFailed,
    Unavailable,
)
from service.core.repositories.access import AccessRepository
from service.core.repositories.work import WorkRepository

logger = logging.getLogger(__name__)

_WAIT_SECONDS = 2.0
_LONGEST_WAIT_SECONDS = 30.0

_INTERNAL = JobError(
    "internal_error",
    "The job met an error of the service itself, several times in a row. Its operator finds the "
    "details in the worker's log under the job's id.",
    param=None,
)


@dataclass(frozen=True)
class Attempt:
    """A claim being worked on, and what it may touch."""

    resources: Resources
    claim: Claim
    scope: Scope
    control: AttemptControl

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self.resources.database.snapshot() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction in which this attempt is the current one, or StaleEpoch is raised."""
        with self.resources.database.transaction() as connection:
            self.control.ask(WorkRepository(connection).check(self.claim))
            yield connection


AttemptBody = Callable[[Attempt], None]
Ending = Callable[[Connection, Scope, Claim], None]


def claim_subject(
    resources: Resources, kind: WorkKind, subject_id: str, *, least_lease_seconds: float = 0.0
) -> Claim | None:
    """The work of this subject, if it is there, open and due. Who does not beat needs a lease of
    at least as long as it takes."""
    with resources.database.transaction() as connection:
        return WorkRepository(connection).claim(
            kind,
            subject_id,
            worker=resources.worker,
            lease_seconds=max(resources.settings.lease_seconds, least_lease_seconds),
        )


def claim_best(resources: Resources, kind: WorkKind) -> Claim | None:
    """The pool's best open work, if there is any."""
    with resources.database.transaction() as connection:
        return WorkRepository(connection).claim_best(
            kind,
            resources.settings.pool,
            worker=resources.worker,
            lease_seconds=resources.settings.lease_seconds,
        )


def work_on(resources: Resources, claim: Claim, control: AttemptControl, body: AttemptBody) -> None:
    """Run `body`, which finishes the work itself if all goes well; settle every other ending."""
    with Heartbeat(
        resources.database,
        claim,
        control,
        every_seconds=resources.settings.heartbeat_seconds,
        lease_seconds=resources.settings.lease_seconds,
    ):
        ending = _run(resources, claim, control, body)
        if ending is not None:
            _settle(resources, claim, control, ending)


def _run(
    resources: Resources, claim: Claim, control: AttemptControl, body: AttemptBody
) -> Ending | None:
    """How the attempt ended; None when nothing is left to write."""
    try:
        with resources.database.snapshot() as connection:
            scope = AccessRepository(connection).scope_of_project(claim.project_id)
        body(Attempt(resources, claim, scope, control))
    except StaleEpoch as stale:
        logger.info("%s: %s", claim.subject_id, stale)
    except ServiceError as error:
        return _ending_of(claim, error)
    except Exception:
        logger.exception("unexpected error in attempt %d of %s", claim.attempt, claim.subject_id)
        return _unexpected(claim)
    return None


def _unexpected(claim: Claim) -> Ending:
    return partial(
        outcomes_of(claim.kind).lose,
        reason="an unexpected error of the worker",
        limit=UNEXPECTED_FAILURES,
        last_error=_INTERNAL,
    )


def _ending_of(claim: Claim, error: ServiceError) -> Ending:
    outcomes = outcomes_of(claim.kind)
    match error:
        case NotYet():
            pause = min(_WAIT_SECONDS * claim.attempt, _LONGEST_WAIT_SECONDS)
            return partial(outcomes.give_back, event=events.waiting(error), pause_seconds=pause)
        case Drained():
            event = events.attempt_lost(error.message, level=EventLevel.INFO)
            return partial(outcomes.give_back, event=event)
        case Paused():
            return partial(outcomes.give_back, event=events.paused())
        case Unavailable() | SessionNotFound() | TooManyRequests() | ModelNotFound():
            logger.warning("attempt %d of %s is lost: %s", claim.attempt, claim.subject_id, error)
            return partial(outcomes.lose, reason=error.message)
        case InvalidTransition():
            pass  # our own mistake, although its class is that of a wrong request
        case TrainingFailed() | InvalidRequest():
            code = error.code or "invalid_value"
            return partial(outcomes.fail, error=JobError(code, error.message, error.param))
    logger.error("attempt of %s", claim.subject_id, exc_info=error)
    return _unexpected(claim)


def _settle(resources: Resources, claim: Claim, control: AttemptControl, ending: Ending) -> None:
    """Write the ending. If that proves impossible, the end of the lease tells the reconciler."""

    def write() -> None:
        with resources.database.transaction() as connection:
            WorkRepository(connection).check(claim)
            scope = AccessRepository(connection).scope_of_project(claim.project_id)
            ending(connection, scope, claim)

    try:
        patiently(control, write, drainable=False)
    except (StaleEpoch, DatabaseUnavailable) as error:
        logger.warning("the end of an attempt of %s went unwritten: %s", claim.subject_id, error)
