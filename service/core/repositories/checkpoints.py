"""Checkpoints of a project's jobs."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.jobs import Checkpoint, MetricValue
from service.core.domain.models import Delta
from service.core.ids import checkpoint_model_name, new_checkpoint_id
from service.core.repositories.paging import Page, fetch_page
from service.core.repositories.permissions import PermissionRepository, is_granted
from service.core.tables import checkpoints


class CheckpointRepository:
    """Checkpoints visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope
        self._project = scope.project_id

    def add(
        self,
        job_id: str,
        *,
        tuned_model: str,
        step: int,
        metrics: Mapping[str, MetricValue],
        delta: Delta,
    ) -> None:
        """Record stored weights. A later attempt's checkpoint of the same step replaces the
        earlier attempt's: the name means the weights that the job went on from."""
        name = checkpoint_model_name(tuned_model, step)
        self._connection.execute(
            delete(checkpoints).where(
                checkpoints.c.model_name == name, checkpoints.c.project_id == self._project
            )
        )
        self._connection.execute(
            insert(checkpoints).values(
                id=new_checkpoint_id(),
                project_id=self._project,
                job_id=job_id,
                model_name=name,
                step=step,
                metrics=dict(metrics),
                key=delta.key,
                digest=delta.digest,
                created_at=database_now(),
            )
        )

    def list(self, job_id: str, *, after: str | None, limit: int) -> Page[Checkpoint]:
        """Newest first. Raises InvalidCursor."""
        return fetch_page(
            self._connection,
            checkpoints,
            and_(checkpoints.c.job_id == job_id, checkpoints.c.project_id == self._project),
            after=after,
            limit=limit,
            to_domain=_to_domain,
            age=checkpoints.c.step,  # several may be recorded within a tick of the clock
        )

    def find_by_name(self, model_name: str) -> Checkpoint | None:
        row = self._connection.execute(
            select(checkpoints).where(
                checkpoints.c.model_name == model_name, checkpoints.c.project_id == self._project
            )
        ).first()
        return None if row is None else _to_domain(row)

    def find_usable(self, model_name: str) -> Checkpoint | None:
        """The project's own, or one that another project has permitted it to use."""
        usable = or_(
            checkpoints.c.project_id == self._project,
            is_granted(checkpoints.c.model_name, self._scope),
        )
        row = self._connection.execute(
            select(checkpoints).where(checkpoints.c.model_name == model_name, usable)
        ).first()
        return None if row is None else _to_domain(row)

    def find(self, checkpoint_id: str) -> Checkpoint | None:
        row = self._connection.execute(
            select(checkpoints).where(
                checkpoints.c.id == checkpoint_id, checkpoints.c.project_id == self._project
            )
        ).first()
        return None if row is None else _to_domain(row)

    def delete_of_job(self, job_id: str) -> None:
        """With the permissions to use them."""
        names = select(checkpoints.c.model_name).where(
            checkpoints.c.job_id == job_id, checkpoints.c.project_id == self._project
        )
        gone = self._connection.execute(names).scalars().all()
        PermissionRepository(self._connection, self._scope).forget(gone)
        self._connection.execute(
            delete(checkpoints).where(
                checkpoints.c.job_id == job_id, checkpoints.c.project_id == self._project
            )
        )


def _to_domain(row: Row[Any]) -> Checkpoint:
    return Checkpoint(
        id=row.id,
        job_id=row.job_id,
        project_id=row.project_id,
        model_name=row.model_name,
        step=row.step,
        metrics=row.metrics,
        delta=Delta(row.key, row.digest),
        created_at=row.created_at,
    )
