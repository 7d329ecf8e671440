"""What can be done with uploads in parts.

Each part is an object of its own, since its place is told only at the end. Completing copies them
within the store into one object, and reads it once to know its checksums; nothing is held whole.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence

from anyio.to_thread import run_sync

from service.api.files.form import display_name
from service.api.files.stored_form import FormStorage, refuse_above
from service.api.reports.asking import ask_for_report
from service.api.uploads.requests import MAX_PARTS, CompleteUpload, CreateUpload
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.files import File, FilePurpose, Upload, UploadPart, UploadStatus
from service.core.errors import (
    ChecksumMismatch,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedParameter,
    UploadMismatch,
)
from service.core.ids import new_file_id, new_part_id, new_upload_id
from service.core.object_keys import upload_key
from service.core.repositories.audit import record
from service.core.repositories.files import FileRepository
from service.core.repositories.uploads import UploadRepository
from service.core.storage import ObjectStore, StoredObject, StoredPiece

MAX_PART_BYTES = 64 * 1024**2


class UploadService:
    """Uploads of the caller's project. Parts that nobody deletes here are swept later."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        forms: FormStorage,
        *,
        max_upload_bytes: int,
    ) -> None:
        self._database = database
        self._store = store
        self._forms = forms
        self._max_upload_bytes = max_upload_bytes

    def create(self, principal: Principal, request: CreateUpload) -> Upload:
        """Raises PayloadTooLarge."""
        if request.bytes > self._max_upload_bytes:
            raise PayloadTooLarge(
                f"An upload has at most {self._max_upload_bytes} bytes. Split the file, or ask the "
                "operator to raise TUNERY_MAX_UPLOAD_BYTES.",
                param="bytes",
            )
        with self._database.transaction() as connection:
            upload = UploadRepository(connection, principal.scope).add(
                new_upload_id(),
                filename=display_name(request.filename),
                purpose=FilePurpose(request.purpose),
                bytes=request.bytes,
                file_seconds=request.expires_after.seconds if request.expires_after else None,
            )
            record(connection, principal, "upload.created", upload.id)
        return upload

    async def add_part(
        self,
        principal: Principal,
        upload_id: str,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes],
    ) -> UploadPart:
        """Store a part while it arrives. Raises UploadNotFound, UploadNotPending, PayloadTooLarge,
        InvalidRequest, StorageUnavailable."""
        await run_sync(self._check_takes_part, principal, upload_id)
        part_id = new_part_id()
        stored, _ = await self._forms.put(
            upload_key(principal.scope.project_id, upload_id, part_id),
            headers,
            body,
            file_part="data",
            check_size=refuse_above(
                MAX_PART_BYTES, f"A part has at most {MAX_PART_BYTES} bytes.", param="data"
            ),
            check_fields=_refuse_fields,
        )
        return await run_sync(self._add_part, principal, upload_id, part_id, stored)

    def complete(
        self, principal: Principal, upload_id: str, request: CompleteUpload, *, is_repeated: bool
    ) -> tuple[Upload, File]:
        """The upload and its file; a repeated request finds what its first sending made.

        Raises UploadNotFound, UploadNotPending, UploadMismatch, ChecksumMismatch. The upload stays
        pending then.
        """
        with self._database.snapshot() as connection:
            uploads = UploadRepository(connection, principal.scope)
            upload = uploads.get(upload_id)
            if is_repeated and upload.file_id is not None:
                return upload, FileRepository(connection, principal.scope).get(upload.file_id)
            uploads.get_pending(upload_id)
            parts = uploads.parts_in_order(upload_id, request.part_ids)
        _check_size(upload, parts)
        sha256 = self._verify(parts, request.md5)
        file_id = new_file_id()
        key = upload_key(upload.project_id, upload_id, file_id)
        self._store.join(key, [StoredPiece(part.key, part.bytes) for part in parts])
        try:
            done = self._finish(principal, upload, StoredObject(key, upload.bytes, sha256), file_id)
        except BaseException:
            self._forms.try_delete(key)
            raise
        self._delete_parts(principal, upload_id)
        return done

    def cancel(self, principal: Principal, upload_id: str, *, is_repeated: bool) -> Upload:
        """Raises UploadNotFound, UploadNotPending; a repeated request finds its own effect."""
        with self._database.transaction() as connection:
            uploads = UploadRepository(connection, principal.scope)
            upload = uploads.get(upload_id)
            if is_repeated and upload.status is UploadStatus.CANCELLED:
                return upload
            uploads.get_pending(upload_id)
            upload = uploads.finish(upload_id, UploadStatus.CANCELLED)
            record(connection, principal, "upload.cancelled", upload_id)
        self._delete_parts(principal, upload_id)
        return upload

    def _check_takes_part(self, principal: Principal, upload_id: str) -> None:
        with self._database.snapshot() as connection:
            uploads = UploadRepository(connection, principal.scope)
            uploads.get_pending(upload_id)
            if uploads.count_parts(upload_id) >= MAX_PARTS:
                raise InvalidRequest(
                    f"An upload has at most {MAX_PARTS} parts; make them larger.", param="data"
                )

    def _add_part(
        self, principal: Principal, upload_id: str, part_id: str, stored: StoredObject
    ) -> UploadPart:
        try:
            with self._database.transaction() as connection:
                uploads = UploadRepository(connection, principal.scope)
                uploads.get_pending(upload_id)
                uploads.add_part(
                    part_id, upload_id, bytes=stored.bytes, sha256=stored.sha256, key=stored.key
                )
                record(connection, principal, "upload.part_added", upload_id)
                return uploads.get_part(part_id)
        except BaseException:
            self._forms.try_delete(stored.key)
            raise

    def _verify(self, parts: Sequence[UploadPart], md5: str | None) -> str:
        """The sha256 of all parts together. Raises ChecksumMismatch."""
        if md5 is None and len(parts) == 1:
            return parts[0].sha256
        whole, check = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        for part in parts:
            for chunk in self._store.iterate(part.key):
                whole.update(chunk)
                check.update(chunk)
        if md5 is not None and md5.lower() != check.hexdigest():
            raise ChecksumMismatch(
                f"The parts in this order have the MD5 {check.hexdigest()}, not {md5}.",
                param="md5",
            )
        return whole.hexdigest()

    def _finish(
        self, principal: Principal, upload: Upload, stored: StoredObject, file_id: str
    ) -> tuple[Upload, File]:
        with self._database.transaction() as connection:
            done = UploadRepository(connection, principal.scope).finish(
                upload.id, UploadStatus.COMPLETED, file_id=file_id
            )
            file = FileRepository(connection, principal.scope).add(
                file_id,
                filename=upload.filename,
                purpose=upload.purpose,
                bytes=stored.bytes,
                sha256=stored.sha256,
                key=stored.key,
                seconds=upload.file_seconds,
            )
            ask_for_report(connection, principal.scope, file)
            record(connection, principal, "upload.completed", upload.id)
            record(connection, principal, "file.uploaded", file_id)
        return done, file

    def _delete_parts(self, principal: Principal, upload_id: str) -> None:
        with self._database.snapshot() as connection:
            parts = UploadRepository(connection, principal.scope).list_parts(upload_id)
        for part in parts:
            self._forms.try_delete(part.key)


def _check_size(upload: Upload, parts: Sequence[UploadPart]) -> None:
    given = sum(part.bytes for part in parts)
    if given != upload.bytes:
        raise UploadMismatch(
            f"The parts have {given} bytes together, and the upload was declared with "
            f"{upload.bytes}.",
            param="part_ids",
        )


def _refuse_fields(fields: Mapping[str, str]) -> None:
    for name in fields:
        raise UnsupportedParameter(f"Unsupported parameter: '{name}'.", param=name)
