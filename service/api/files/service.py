"""What can be done with files."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from functools import partial
from itertools import chain
from typing import IO, Any, cast

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from service.api.files.form import UploadForm
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.domain.files import UPLOAD_PURPOSES, File, FilePurpose
from service.core.errors import (
    InvalidRequest,
    MissingParameter,
    PayloadTooLarge,
    StorageUnavailable,
    UnsupportedParameter,
)
from service.core.ids import new_file_id
from service.core.object_keys import file_key
from service.core.repositories.audit import record
from service.core.repositories.files import FileRepository
from service.core.repositories.paging import Page
from service.core.storage import ObjectStore, StoredObject

logger = logging.getLogger(__name__)

_FORM_OVERHEAD_BYTES = 64 * 1024


class FileService:
    """Files of the caller's project. The object is written before the row and deleted after it, so
    that a row always has its object."""

    def __init__(
        self,
        database: Database,
        store: ObjectStore,
        *,
        upload_slots: CapacityLimiter,
        max_file_bytes: int,
    ) -> None:
        self._database = database
        self._store = store
        self._upload_slots = upload_slots
        self._max_file_bytes = max_file_bytes

    async def upload(
        self, principal: Principal, headers: Mapping[str, str], body: AsyncIterator[bytes]
    ) -> File:
        """Store a file of a multipart form while it arrives.

        Raises PayloadTooLarge, StorageUnavailable, InvalidRequest.
        """
        declared = headers.get("content-length", "0")
        if declared.isdecimal():
            self._check_size(int(declared) - _FORM_OVERHEAD_BYTES)
        form = UploadForm(headers.get("content-type", ""), body)
        await form.find_file()
        file_id = new_file_id()
        key = file_key(principal.scope.project_id, file_id)
        source = _FormFile(form, asyncio.get_running_loop())
        put = partial(self._store.put_stream, check_size=self._check_size)
        stored = await run_sync(put, key, cast(IO[bytes], source), limiter=self._upload_slots)
        try:
            await form.read_rest()
            purpose = _purpose(form.fields)
        except BaseException:
            await run_sync(self._delete_object, key)
            raise
        filename = form.filename or "file"
        return await run_sync(self._add_row, principal, file_id, filename, purpose, stored)

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
        self._delete_object(file.key)

    def _check_size(self, size: int) -> None:
        if size > self._max_file_bytes:
            raise PayloadTooLarge(
                f"The file is larger than the limit of {self._max_file_bytes} bytes. "
                "Split it, or ask the operator to raise TUNERY_MAX_FILE_BYTES.",
                param="file",
            )

    def _add_row(
        self,
        principal: Principal,
        file_id: str,
        filename: str,
        purpose: FilePurpose,
        stored: StoredObject,
    ) -> File:
        with self._database.transaction() as connection:
            file = FileRepository(connection, principal.scope).add(
                file_id,
                filename=filename,
                purpose=purpose,
                bytes=stored.bytes,
                sha256=stored.sha256,
                key=stored.key,
            )
            record(connection, principal, "file.uploaded", file_id)
        return file

    def _delete_object(self, key: str) -> None:
        """No row names the object any more; one that stays behind costs space, nothing else."""
        try:
            self._store.delete(key)
        except StorageUnavailable:
            logger.warning("object %s stays behind: the store does not answer", key)


class _FormFile:
    """The form's file as a blocking reader for other threads; the form stays in its loop."""

    def __init__(self, form: UploadForm, loop: asyncio.AbstractEventLoop) -> None:
        self._form = form
        self._loop = loop

    def read(self, size: int) -> bytes:
        reading: Coroutine[Any, Any, bytes] = self._form.read_file(size)
        return asyncio.run_coroutine_threadsafe(reading, self._loop).result()


def _purpose(fields: Mapping[str, str]) -> FilePurpose:
    for name in fields:
        if name != "purpose":
            param = name.partition("[")[0]
            raise UnsupportedParameter(f"Unsupported parameter: '{param}'.", param=param)
    if "purpose" not in fields:
        raise MissingParameter("Missing required parameter: 'purpose'.", param="purpose")
    given = fields["purpose"]
    if given not in UPLOAD_PURPOSES:
        known = ", ".join(sorted(UPLOAD_PURPOSES))
        raise InvalidRequest(
            f"Invalid value for 'purpose': {given!r} is none of {known}.", param="purpose"
        )
    return FilePurpose(given)
