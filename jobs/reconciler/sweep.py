"""Deletes what has expired: files, and the parts of uploads that are over.

Objects go before the rows that name them, so that a sweep which is cut short is finished by the
next. Sweepers may run at once: deleting twice is no error.
"""

import logging

from service.core.database import Database
from service.core.domain.files import Upload
from service.core.object_keys import upload_key, upload_prefix
from service.core.repositories.files import ExpiredFiles
from service.core.repositories.uploads import FinishedUploads
from service.core.storage import ObjectStore

logger = logging.getLogger(__name__)

_AT_ONCE = 100


class Sweeper:
    """Expired things of all tenants."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    def sweep(self) -> None:
        """Raises DatabaseUnavailable, StorageUnavailable."""
        self._sweep_files()
        self._sweep_uploads()

    def _sweep_files(self) -> None:
        with self._database.snapshot() as connection:
            expired = ExpiredFiles(connection).list(limit=_AT_ONCE)
        for file in expired:
            self._store.delete(file.key)
            with self._database.transaction() as connection:
                ExpiredFiles(connection).forget(file.id)
            logger.info("file %s has expired and is deleted", file.id)

    def _sweep_uploads(self) -> None:
        with self._database.snapshot() as connection:
            over = FinishedUploads(connection).list(limit=_AT_ONCE)
        for upload in over:
            self._delete_parts(upload)
            with self._database.transaction() as connection:
                FinishedUploads(connection).mark_swept(upload)

    def _delete_parts(self, upload: Upload) -> None:
        """Everything below the upload's prefix but the file that it has become."""
        prefix = upload_prefix(upload.project_id, upload.id)
        file_key = upload_key(upload.project_id, upload.id, upload.file_id or "")
        self._store.abort_uploads(prefix)
        for key in list(self._store.list_keys(prefix)):
            if key != file_key:
                self._store.delete(key)
