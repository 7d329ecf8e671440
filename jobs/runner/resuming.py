"""Where an attempt begins: after the last training state that is stored, if there is one. States
are large, so only the last two are kept, and none once the job has succeeded. The ledger of rows up
to a state and what the method keeps beside the weights lie in its folder and go with it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.methods.reporting import StepReport
from jobs.runner.attempt import Attempt
from jobs.runner.recorder import report_of
from service.core.domain.jobs import FineTuningJob, TrainingState
from service.core.engine_protocol import ResumePoint
from service.core.errors import DatabaseUnavailable, StorageUnavailable
from service.core.ledger import Ledger
from service.core.repositories.events import EventRepository
from service.core.repositories.states import StateRepository
from service.core.storage import ObjectNotFound

logger = logging.getLogger(__name__)

KEPT_STATES = 2
"""The older one is for the case that the newer turns out to be damaged."""


@dataclass(frozen=True)
class Start:
    """What earlier attempts leave to this one."""

    state: TrainingState | None
    """Training goes on from it."""
    written: Sequence[StepReport]
    """Every report that is in the events already, oldest first."""

    @property
    def step(self) -> int:
        """The last optimizer step that is done; 0 for the beginning."""
        return self.state.step if self.state else 0

    @property
    def told(self) -> Sequence[StepReport]:
        """Of the steps up to there, which are this attempt's too."""
        return [report for report in self.written if self.step and report.step <= self.step]

    @property
    def point(self) -> ResumePoint | None:
        if self.state is None:
            return None
        return ResumePoint(key=self.state.place.key, digest=self.state.place.digest)


def find_start(attempt: Attempt, job: FineTuningJob) -> Start:
    with attempt.reading() as connection:
        states = StateRepository(connection, attempt.scope).list(job.id)
        metrics = EventRepository(connection, attempt.scope).metrics(job.id)
    return Start(states[0] if states else None, [report_of(data) for data in metrics])


def ledger_key(state_key: str) -> str:
    return f"{state_key}/rows.json.gz"


def find_ledger(attempt: Attempt, start: Start) -> Ledger:
    """Of the steps that are done."""
    if start.state is None:
        return Ledger()
    try:
        return Ledger.from_bytes(
            attempt.resources.store.get_bytes(ledger_key(start.state.place.key))
        )
    except ObjectNotFound:
        return Ledger()


def kept_key(state_key: str) -> str:
    return f"{state_key}/kept.gz"


def find_kept(attempt: Attempt, start: Start) -> bytes | None:
    """What the method has kept with the state."""
    if start.state is None:
        return None
    try:
        return attempt.resources.store.get_bytes(kept_key(start.state.place.key))
    except ObjectNotFound:
        return None


def reject_state(attempt: Attempt, state: TrainingState) -> None:
    """A state that proved damaged: the next attempt goes on from the one before it."""
    logger.error("the training state of %s at step %d is damaged", state.job_id, state.step)
    with attempt.writing() as connection:
        StateRepository(connection, attempt.scope).forget(state)


def drop_states(attempt: Attempt, job_id: str, *, keep: int = KEPT_STATES) -> None:
    """Delete the objects, then what points at them, so that a cut leaves nothing behind unseen.

    What fails now is done after the next checkpoint.
    """
    try:
        with attempt.reading() as connection:
            states = StateRepository(connection, attempt.scope).list(job_id)
        for state in states[keep:]:
            _drop(attempt, state)
    except (DatabaseUnavailable, StorageUnavailable) as error:
        logger.warning("old training states of %s are kept for now: %s", job_id, error)


def _drop(attempt: Attempt, state: TrainingState) -> None:
    attempt.resources.store.delete_prefix(f"{state.place.key}/")
    with attempt.resources.database.transaction() as connection:
        StateRepository(connection, attempt.scope).forget(state)
