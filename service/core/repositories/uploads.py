"""Uploads in parts, of one project; and the ones of all that are to be swept."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.files import FilePurpose, Upload, UploadPart, UploadStatus
from service.core.errors import UploadMismatch, UploadNotFound, UploadNotPending
from service.core.tables import upload_parts, uploads

LIFE_SECONDS = 3600
_GRACE_SECONDS = 900
"""A completion that began in time may still be at work for so long."""


class UploadRepository:
    """Uploads visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def add(
        self,
        upload_id: str,
        *,
        filename: str,
        purpose: FilePurpose,
        bytes: int,
        file_seconds: int | None,
    ) -> Upload:
        now = database_now()
        self._connection.execute(
            insert(uploads).values(
                id=upload_id,
                project_id=self._project,
                filename=filename,
                purpose=purpose,
                bytes=bytes,
                file_seconds=file_seconds,
                status=UploadStatus.PENDING,
                created_at=now,
                expires_at=now + LIFE_SECONDS,
            )
        )
        return self.get(upload_id)

    def get(self, upload_id: str) -> Upload:
        """A pending one past its time is told as expired. Raises UploadNotFound."""
        row = self._connection.execute(
            select(uploads, database_now().label("now")).where(
                uploads.c.id == upload_id, uploads.c.project_id == self._project
            )
        ).first()
        if row is None:
            raise UploadNotFound(f"No such Upload object: {upload_id}", param="upload_id")
        return _to_upload(row)

    def get_pending(self, upload_id: str) -> Upload:
        """Raises UploadNotFound, UploadNotPending."""
        upload = self.get(upload_id)
        if upload.status is not UploadStatus.PENDING:
            raise UploadNotPending(
                f"Upload {upload_id} is {upload.status}; create another one.", param="upload_id"
            )
        return upload

    def finish(self, upload_id: str, status: UploadStatus, *, file_id: str | None = None) -> Upload:
        """Of racing calls one succeeds. Raises UploadNotFound, UploadNotPending."""
        changed = self._connection.execute(
            update(uploads)
            .where(
                uploads.c.id == upload_id,
                uploads.c.project_id == self._project,
                uploads.c.status == UploadStatus.PENDING,
            )
            .values(status=status, file_id=file_id)
        ).rowcount
        return self.get(upload_id) if changed else self.get_pending(upload_id)

    def add_part(self, part_id: str, upload_id: str, *, bytes: int, sha256: str, key: str) -> None:
        self._connection.execute(
            insert(upload_parts).values(
                id=part_id,
                project_id=self._project,
                upload_id=upload_id,
                bytes=bytes,
                sha256=sha256,
                key=key,
                created_at=database_now(),
            )
        )

    def get_part(self, part_id: str) -> UploadPart:
        row = self._connection.execute(
            select(upload_parts).where(
                upload_parts.c.id == part_id, upload_parts.c.project_id == self._project
            )
        ).one()
        return _to_part(row)

    def count_parts(self, upload_id: str) -> int:
        count = select(func.count()).where(upload_parts.c.upload_id == upload_id)
        return self._connection.scalar(count) or 0

    def list_parts(self, upload_id: str) -> list[UploadPart]:
        rows = self._connection.execute(
            select(upload_parts).where(upload_parts.c.upload_id == upload_id)
        )
        return [_to_part(row) for row in rows]

    def parts_in_order(self, upload_id: str, part_ids: Sequence[str]) -> list[UploadPart]:
        """Raises UploadMismatch for a part that is not this upload's, or is named twice."""
        parts = {part.id: part for part in self.list_parts(upload_id)}
        for part_id in part_ids:
            if part_id not in parts:
                raise UploadMismatch(f"Upload {upload_id} has no part {part_id}.", param="part_ids")
        if len(set(part_ids)) < len(part_ids):
            raise UploadMismatch("A part is named more than once.", param="part_ids")
        return [parts[part_id] for part_id in part_ids]


class FinishedUploads:
    """Uploads of all tenants whose parts are of no more use. For the reconciler: no scope."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int) -> list[Upload]:
        """Past their time and not swept yet, whatever became of them."""
        rows = self._connection.execute(
            select(uploads, database_now().label("now"))
            .where(
                uploads.c.swept_at.is_(None),
                uploads.c.expires_at < database_now() - _GRACE_SECONDS,
            )
            .order_by(uploads.c.expires_at)
            .limit(limit)
        ).all()
        return [_to_upload(row) for row in rows]

    def mark_swept(self, upload: Upload) -> None:
        self._connection.execute(delete(upload_parts).where(upload_parts.c.upload_id == upload.id))
        self._connection.execute(
            update(uploads)
            .where(uploads.c.id == upload.id)
            .values(status=upload.status, swept_at=database_now())
        )


def _to_upload(row: Row[Any]) -> Upload:
    status = UploadStatus(row.status)
    if status is UploadStatus.PENDING and row.expires_at <= row.now:
        status = UploadStatus.EXPIRED
    return Upload(
        id=row.id,
        project_id=row.project_id,
        filename=row.filename,
        purpose=FilePurpose(row.purpose),
        bytes=row.bytes,
        file_seconds=row.file_seconds,
        status=status,
        file_id=row.file_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )


def _to_part(row: Row[Any]) -> UploadPart:
    return UploadPart(
        id=row.id,
        upload_id=row.upload_id,
        bytes=row.bytes,
        sha256=row.sha256,
        key=row.key,
        created_at=row.created_at,
    )
