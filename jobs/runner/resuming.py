"""Where an attempt begins: after the last checkpoint whose training state is stored, if there is
one. States are large, so only the last two are kept, and none once the job has succeeded."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.methods.reporting import StepReport
from jobs.runner.attempt import Attempt
from jobs.runner.recorder import report_of
from service.core.domain.jobs import Checkpoint, FineTuningJob
from service.core.domain.models import Delta
from service.core.engine_protocol import ResumePoint
from service.core.errors import DatabaseUnavailable, StorageUnavailable
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository

logger = logging.getLogger(__name__)

KEPT_STATES = 2
"""The older one is for the case that the newer turns out to be damaged."""


@dataclass(frozen=True)
class Start:
    """What earlier attempts leave to this one."""

    checkpoint: Checkpoint | None
    """Training goes on from its state."""
    written: Sequence[StepReport]
    """Every report that is in the events already, oldest first."""

    @property
    def step(self) -> int:
        """The last optimizer step that is done; 0 for the beginning."""
        return self.checkpoint.step if self.checkpoint else 0

    @property
    def latest(self) -> tuple[int, Delta] | None:
        """The checkpoint's step and weights."""
        return None if self.checkpoint is None else (self.checkpoint.step, self.checkpoint.delta)

    @property
    def point(self) -> ResumePoint | None:
        state = self.checkpoint.state if self.checkpoint else None
        return None if state is None else ResumePoint(key=state.key, digest=state.digest)


def find_start(attempt: Attempt, job: FineTuningJob) -> Start:
    with attempt.reading() as connection:
        states = CheckpointRepository(connection, attempt.scope).with_state(job.id)
        metrics = EventRepository(connection, attempt.scope).metrics(job.id)
    return Start(states[0] if states else None, [report_of(data) for data in metrics])


def reject_state(attempt: Attempt, checkpoint: Checkpoint) -> None:
    """A state that proved damaged: the next attempt goes on from the one before it."""
    logger.error("the training state of %s is damaged", checkpoint.model_name)
    with attempt.writing() as connection:
        CheckpointRepository(connection, attempt.scope).forget_state(checkpoint)


def drop_states(attempt: Attempt, job_id: str, *, keep: int = KEPT_STATES) -> None:
    """Delete the objects, then what points at them, so that a cut leaves nothing behind unseen.

    What fails now is done after the next checkpoint.
    """
    try:
        with attempt.reading() as connection:
            checkpoints = CheckpointRepository(connection, attempt.scope).with_state(job_id)
        for checkpoint in checkpoints[keep:]:
            _drop(attempt, checkpoint)
    except (DatabaseUnavailable, StorageUnavailable) as error:
        logger.warning("old training states of %s are kept for now: %s", job_id, error)


def _drop(attempt: Attempt, checkpoint: Checkpoint) -> None:
    if checkpoint.state is not None:
        attempt.resources.store.delete_prefix(f"{checkpoint.state.key}/")
    with attempt.resources.database.transaction() as connection:
        CheckpointRepository(connection, attempt.scope).forget_state(checkpoint)
