"""Files of one project."""

from typing import Any

from sqlalchemy import Connection, Row, and_, delete, insert, or_, select

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.files import File, FilePurpose
from service.core.errors import FileInUse, FileNotFound
from service.core.lifecycle import TERMINAL
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import files, jobs


class FileRepository:
    """Files visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def add(
        self,
        file_id: str,
        *,
        filename: str,
        purpose: FilePurpose,
        bytes: int,
        sha256: str,
        key: str,
    ) -> File:
        """Record a file whose object is already stored under `key`."""
        self._connection.execute(
            insert(files).values(
                id=file_id,
                project_id=self._project,
                filename=filename,
                purpose=purpose,
                bytes=bytes,
                sha256=sha256,
                key=key,
                created_at=database_now(),
            )
        )
        return self.get(file_id)

    def get(self, file_id: str, *, param: str | None = None) -> File:
        """Raises FileNotFound; `param` names the request's field that held the id."""
        row = self._connection.execute(
            select(files).where(files.c.id == file_id, files.c.project_id == self._project)
        ).first()
        if row is None:
            raise FileNotFound(f"No such File object: {file_id}", param=param or "file_id")
        return _to_domain(row)

    def list(
        self, *, purpose: str | None, after: str | None, limit: int, ascending: bool
    ) -> Page[File]:
        condition = files.c.project_id == self._project
        if purpose is not None:
            condition = and_(condition, files.c.purpose == purpose)
        return fetch_page(
            self._connection,
            files,
            condition,
            after=after,
            limit=limit,
            to_domain=_to_domain,
            ascending=ascending,
        )

    def delete(self, file_id: str) -> File:
        """Forget the row; the caller deletes the object after the commit.

        Raises FileNotFound, and FileInUse while an unfinished job reads the file.
        """
        file = self.get(file_id)
        reader = self._connection.scalar(
            select(jobs.c.id).where(
                jobs.c.project_id == self._project,
                or_(jobs.c.training_file == file_id, jobs.c.validation_file == file_id),
                jobs.c.status.not_in(TERMINAL),
            )
        )
        if reader is not None:
            raise FileInUse(
                f"File {file_id} is read by the unfinished job {reader}; cancel the job first.",
                param="file_id",
            )
        self._connection.execute(delete(files).where(files.c.id == file_id))
        return file


def _to_domain(row: Row[Any]) -> File:
    return File(
        id=row.id,
        project_id=row.project_id,
        filename=row.filename,
        purpose=FilePurpose(row.purpose),
        bytes=row.bytes,
        sha256=row.sha256,
        key=row.key,
        created_at=row.created_at,
    )
