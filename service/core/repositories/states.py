"""Training states of a project's jobs: what a later attempt goes on from."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select

from service.core.domain.access import Scope
from service.core.domain.jobs import TrainingState
from service.core.domain.models import Delta
from service.core.lifecycle import TERMINAL
from service.core.tables import jobs, training_states


class StateRepository:
    """States of the jobs within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def add(self, job_id: str, *, step: int, place: Delta) -> bool:
        """Record a stored state; a later attempt's of the same step replaces the earlier's.
        Whether the job has never come so far before."""
        furthest = max((state.step for state in self.list(job_id)), default=0)
        self.forget(TrainingState(job_id, step, place))
        self._connection.execute(
            insert(training_states).values(
                job_id=job_id,
                step=step,
                project_id=self._project,
                key=place.key,
                digest=place.digest,
            )
        )
        return step > furthest

    def list(self, job_id: str) -> Sequence[TrainingState]:
        """The last one first."""
        rows = self._connection.execute(
            select(training_states)
            .where(
                training_states.c.job_id == job_id, training_states.c.project_id == self._project
            )
            .order_by(training_states.c.step.desc())
        ).all()
        return [TrainingState(row.job_id, row.step, Delta(row.key, row.digest)) for row in rows]

    def forget(self, state: TrainingState) -> None:
        """Training can no longer go on from it; a checkpoint of the same step answers as before."""
        self._connection.execute(
            delete(training_states).where(
                training_states.c.job_id == state.job_id,
                training_states.c.step == state.step,
                training_states.c.project_id == self._project,
            )
        )


class FinishedStates:
    """States of all tenants' jobs that are over, from which nobody goes on. For the reconciler, so
    it takes no scope."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def forget(self, *, limit: int) -> None:
        """Some of the rows; their objects are collected later."""
        over = select(jobs.c.id).where(jobs.c.status.in_(TERMINAL))
        found = self._connection.execute(
            select(training_states.c.job_id)
            .where(training_states.c.job_id.in_(over))
            .distinct()
            .limit(limit)
        ).scalars()
        self._connection.execute(
            delete(training_states).where(training_states.c.job_id.in_(found.all()))
        )
