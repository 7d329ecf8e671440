"""What can be done with files."""

from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import chain

from anyio.to_thread import run_sync

from service.api.files.form_fields import FileFields, read_fields
from service.api.files.stored_form import FormStorage, refuse_above
from service.api.reports.asking import ask_for_report
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.files import File
from service.core.errors import StorageQuotaExceeded
from service.core.ids import new_file_id
from service.core.object_keys import file_key
from service.core.repositories.audit import record
from service.core.repositories.files import FileRepository
from service.core.repositories.paging import Page
from service.core.repositories.quotas import QuotaRepository
from service.core.storage import ObjectStore, StoredObject


class FileService:
    """Files of the caller's project. The object is written before the row and deleted after it, so
    that a row always has its object."""

    def __init__(
        self, database: Database, store: ObjectStore, forms: FormStorage, *, max_file_bytes: int
    ) -> None:
        self._database = database
        self._store = store
        self._forms = forms
        self._max_file_bytes = max_file_bytes

    async def upload(
        self, principal: Principal, headers: Mapping[str, str], body: AsyncIterator[bytes]
    ) -> File:
        """Store a file of a multipart form while it arrives.

        Raises PayloadTooLarge, StorageQuotaExceeded, StorageUnavailable, InvalidRequest.
        """
        file_id = new_file_id()
        fields: list[FileFields] = []
        stored, filename = await self._forms.put(
            file_key(principal.scope.project_id, file_id),
            headers,
            body,
            file_part="file",
            check_size=refuse_above(
                self._max_file_bytes,
                f"The file is larger than the limit of {self._max_file_bytes} bytes. Upload it in "
                "parts (/v1/uploads), or ask the operator to raise TUNERY_MAX_FILE_BYTES.",
                param="file",
            ),
            check_fields=lambda given: fields.append(read_fields(given)),
        )
        try:
            return await run_sync(self._add_row, principal, file_id, filename, fields[0], stored)
        except StorageQuotaExceeded:
            await run_sync(self._forms.try_delete, stored.key)
            raise

    def list(
        self,
        principal: Principal,
        *,
        purpose: str | None,
        after: str | None,
        limit: int,
        ascending: bool,
    ) -> Page[File]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            return FileRepository(connection, principal.scope).list(
                purpose=purpose, after=after, limit=limit, ascending=ascending
            )

    def get(self, principal: Principal, file_id: str) -> File:
        """Raises FileNotFound."""
        with self._database.snapshot() as connection:
            return FileRepository(connection, principal.scope).get(file_id)

    def open_content(self, principal: Principal, file_id: str) -> tuple[File, Iterator[bytes]]:
        """The file and its bytes. Raises FileNotFound, StorageUnavailable."""
        file = self.get(principal, file_id)
        chunks = self._store.iterate(file.key)
        first = next(chunks, b"")  # a store that is away must show before the answer begins
        return file, chain((first,), chunks)

    def delete(self, principal: Principal, file_id: str) -> None:
        """Raises FileNotFound, FileInUse."""
        with self._database.transaction() as connection:
            file = FileRepository(connection, principal.scope).delete(file_id)
            record(connection, principal, "file.deleted", file_id)
        self._forms.try_delete(file.key)

    def _add_row(
        self,
        principal: Principal,
        file_id: str,
        filename: str,
        fields: FileFields,
        stored: StoredObject,
    ) -> File:
        with self._database.transaction() as connection:
            QuotaRepository(connection, principal.scope).require_space(stored.bytes, param="file")
            file = FileRepository(connection, principal.scope).add(
                file_id,
                filename=filename,
                purpose=fields.purpose,
                bytes=stored.bytes,
                sha256=stored.sha256,
                key=stored.key,
                seconds=fields.seconds,
            )
            ask_for_report(connection, principal.scope, file)
            record(connection, principal, "file.uploaded", file_id)
        return file
