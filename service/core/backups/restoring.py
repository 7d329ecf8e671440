"""Put a backup back: every object, checked against its digest, then the database. Whatever goes
wrong before the end leaves no database, so that nothing runs on half a restoration."""

import tempfile
from pathlib import Path

from service.core.backups.databases import is_empty, kind_of, put_back
from service.core.backups.place import BackupShelf
from service.core.backups.record import BackupDamaged, BackupRecord
from service.core.database import Database
from service.core.errors import ConfigurationError
from service.core.storage import ObjectStore


def restore_backup(
    database: Database,
    store: ObjectStore,
    shelf: BackupShelf,
    record: BackupRecord,
    *,
    programs: Path | None,
) -> None:
    """`programs`: the folder of Postgres's own; None looks for them on the PATH.

    Objects that a restoration cut short has left are written again.

    Raises ConfigurationError where there is a database already or it is of another kind,
    BackupDamaged, StorageUnavailable, DatabaseCopyFailed.
    """
    _check_target(database, record)
    store.ensure_bucket()
    with tempfile.TemporaryDirectory(prefix="tunery-restore-") as folder:
        copy = Path(folder) / "object"
        for key, kept in record.objects.items():
            with copy.open("wb") as file:
                shelf.fetch(kept, file)
            stored = store.put_file(key, copy)
            if stored.sha256 != kept.sha256:
                raise BackupDamaged(f"{key} was not written as it is in the backup.")
        _check_all_stored(store, record)
        with copy.open("wb") as file:
            shelf.fetch(record.database, file)
        put_back(database, copy, programs)


def _check_target(database: Database, record: BackupRecord) -> None:
    if kind_of(database) != record.database_kind:
        raise ConfigurationError(
            f"The backup holds a database of the kind {record.database_kind}, and "
            f"TUNERY_DATABASE_URL names one of the kind {kind_of(database)}."
        )
    if not is_empty(database):
        raise ConfigurationError(
            "There is a database already, and a restoration overwrites nothing: name an empty "
            "data directory or database."
        )


def _check_all_stored(store: ObjectStore, record: BackupRecord) -> None:
    """Each as long as it was: a store may acknowledge and lose."""
    for key, kept in record.objects.items():
        if store.describe(key).bytes != kept.bytes:
            raise BackupDamaged(f"{key} is not in the object store as it was written.")
