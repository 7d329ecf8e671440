"""Files of one project."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, exists, insert, or_, select

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.batches import OVER
from service.core.domain.files import File, FilePurpose
from service.core.domain.operations import OperationKind
from service.core.errors import FileInUse, FileNotFound
from service.core.lifecycle import TERMINAL
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import batches, files, jobs, operations, work


class FileRepository:
    """Files visible within `scope`. One that has expired is not."""

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
        seconds: int | None = None,
    ) -> File:
        """Record a file whose object is already stored under `key`; it expires after `seconds`."""
        now = database_now()
        self._connection.execute(
            insert(files).values(
                id=file_id,
                project_id=self._project,
                filename=filename,
                purpose=purpose,
                bytes=bytes,
                sha256=sha256,
                key=key,
                created_at=now,
                expires_at=None if seconds is None else now + seconds,
            )
        )
        return self.get(file_id)

    def get(self, file_id: str, *, param: str | None = None) -> File:
        """Raises FileNotFound; `param` names the request's field that held the id."""
        row = self._connection.execute(
            select(files).where(files.c.id == file_id, self._mine(), _alive())
        ).first()
        if row is None:
            raise FileNotFound(f"No such File object: {file_id}", param=param or "file_id")
        return _to_domain(row)

    def get_in_use(self, file_id: str) -> File:
        """Like `get`, for unfinished work that reads the file: for it an expired one is still
        there, because the sweep leaves it. Raises FileNotFound."""
        row = self._connection.execute(
            select(files).where(files.c.id == file_id, self._mine())
        ).first()
        if row is None:
            raise FileNotFound(f"No such File object: {file_id}", param="file_id")
        return _to_domain(row)

    def _mine(self) -> ColumnElement[bool]:
        return files.c.project_id == self._project

    def list(
        self, *, purpose: str | None, after: str | None, limit: int, ascending: bool
    ) -> Page[File]:
        condition = and_(self._mine(), _alive())
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

        Raises FileNotFound, and FileInUse while an unfinished job or batch reads the file.
        """
        file = self.get(file_id)
        reader = self._connection.scalar(
            select(jobs.c.id).where(files.c.id == file_id, _reads_file())
        )
        reader = reader or self._connection.scalar(
            select(batches.c.id).where(files.c.id == file_id, _feeds_batch())
        )
        if reader is not None:
            raise FileInUse(
                f"File {file_id} is read by {reader}, which has not ended; cancel that first.",
                param="file_id",
            )
        _forget(self._connection, file_id)
        return file


class ExpiredFiles:
    """Expired files of all tenants. For the reconciler, so it takes no scope."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int) -> list[File]:
        """Those that no unfinished job or batch reads."""
        rows = self._connection.execute(
            select(files)
            .where(
                files.c.expires_at <= database_now(),
                ~exists().where(_reads_file()),
                ~exists().where(_feeds_batch()),
            )
            .order_by(files.c.expires_at)
            .limit(limit)
        ).all()
        return [_to_domain(row) for row in rows]

    def forget(self, file_id: str) -> None:
        _forget(self._connection, file_id)


def _forget(connection: Connection, file_id: str) -> None:
    """The row, and the reports on it; an attempt at one is fenced from now on."""
    of_file = and_(operations.c.kind == OperationKind.FILE_REPORT, operations.c.subject == file_id)
    reports = select(operations.c.id).where(of_file)
    connection.execute(delete(work).where(work.c.subject_id.in_(reports)))
    connection.execute(delete(operations).where(of_file))
    connection.execute(delete(files).where(files.c.id == file_id))


def _alive() -> ColumnElement[bool]:
    return or_(files.c.expires_at.is_(None), files.c.expires_at > database_now())


def _reads_file() -> ColumnElement[bool]:
    return and_(
        jobs.c.project_id == files.c.project_id,
        or_(jobs.c.training_file == files.c.id, jobs.c.validation_file == files.c.id),
        jobs.c.status.not_in(TERMINAL),
    )


def _feeds_batch() -> ColumnElement[bool]:
    return and_(
        batches.c.project_id == files.c.project_id,
        batches.c.input_file_id == files.c.id,
        batches.c.status.not_in(OVER),
    )


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
        expires_at=row.expires_at,
    )
