"""The file of a multipart form, on its way into the object store."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial
from typing import IO, Any, cast

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from service.api.files.form import UploadForm
from service.core.errors import PayloadTooLarge, StorageUnavailable
from service.core.storage import ObjectStore, StoredObject

logger = logging.getLogger(__name__)

_FORM_OVERHEAD_BYTES = 64 * 1024


class FormStorage:
    """Stores forms' files while they arrive, some at a time: each holds a thread."""

    def __init__(self, store: ObjectStore, slots: CapacityLimiter) -> None:
        self._store = store
        self._slots = slots

    async def put(
        self,
        key: str,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes],
        *,
        file_part: str,
        check_size: Callable[[int], None],
        check_fields: Callable[[Mapping[str, str]], None],
    ) -> tuple[StoredObject, str]:
        """What was stored, and the file's display name; a form that turns out wrong leaves no
        object. Raises StorageUnavailable, InvalidRequest, and what the checks raise."""
        declared = headers.get("content-length", "0")
        if declared.isdecimal():
            check_size(int(declared) - _FORM_OVERHEAD_BYTES)
        form = UploadForm(headers.get("content-type", ""), body, file_part=file_part)
        await form.find_file()
        source = _FormFile(form, asyncio.get_running_loop())
        put = partial(self._store.put_stream, check_size=check_size)
        stored = await run_sync(put, key, cast(IO[bytes], source), limiter=self._slots)
        try:
            await form.read_rest()
            check_fields(form.fields)
        except BaseException:
            await run_sync(self.try_delete, key)
            raise
        return stored, form.filename or "file"

    def try_delete(self, key: str) -> None:
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


def refuse_above(limit: int, message: str, *, param: str) -> Callable[[int], None]:
    """A check that raises PayloadTooLarge beyond `limit` bytes."""

    def check(size: int) -> None:
        if size > limit:
            raise PayloadTooLarge(message, param=param)

    return check
