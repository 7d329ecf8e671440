"""What a project may hold, counted in the transaction that adds to it."""

from typing import Any

from sqlalchemy import Connection, Select, func, select

from service.core.domain.access import ProjectLimits, Scope
from service.core.domain.jobs import JobStatus
from service.core.errors import JobQuotaExceeded, StorageQuotaExceeded
from service.core.repositories.projects import limits_from
from service.core.tables import files, jobs, projects

_WAITING = (JobStatus.VALIDATING_FILES, JobStatus.QUEUED, JobStatus.PAUSED)


class QuotaRepository:
    """Of one project. From the first question to the end of the transaction nobody else counts:
    two that add at once would both find room for one."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project_id = scope.project_id

    def require_place_for_job(self) -> None:
        """Raises JobQuotaExceeded."""
        most = self._limits().queued_jobs
        if most is None:
            return
        mine = (jobs.c.project_id == self._project_id, jobs.c.status.in_(_WAITING))
        if self._count(select(func.count()).select_from(jobs).where(*mine)) >= most:
            raise JobQuotaExceeded(
                f"At most {most} fine-tuning jobs of this project may wait, paused ones included. "
                "Try again once one has begun to train, cancel one, or have an administrator of "
                "the organisation raise max_queued_jobs."
            )

    def require_space(self, size: int, *, param: str) -> None:
        """Room for a file of so many bytes. Raises StorageQuotaExceeded."""
        most = self._limits().stored_bytes
        if most is None:
            return
        mine = files.c.project_id == self._project_id
        stored = self._count(select(func.coalesce(func.sum(files.c.bytes), 0)).where(mine))
        if stored + size > most:
            raise StorageQuotaExceeded(
                f"The files of this project have {stored} bytes and may have {most}; this one has "
                f"{size}. Delete files, or have an administrator of the organisation raise "
                "max_stored_bytes.",
                param=param,
            )

    def _limits(self) -> ProjectLimits:
        mine = select(projects).where(projects.c.id == self._project_id)
        row = self._connection.execute(mine.with_for_update(key_share=True)).one()
        return limits_from(row)

    def _count(self, query: Select[Any]) -> int:
        return int(self._connection.execute(query).scalar_one())
