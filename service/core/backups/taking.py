"""Take a backup: the database first, then what it points at, then the record.

An object that the database names is never changed, so a copy made later is the same; one that is
deleted meanwhile is told as vanished. The collector keeps younger and needed objects alone.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from service.core.backups.databases import copied, kind_of
from service.core.backups.place import BackupShelf
from service.core.backups.record import BackupRecord, KeptObject
from service.core.database import Database
from service.core.domain.models import Delta
from service.core.manifest import MANIFEST_NAME
from service.core.references import DamagedManifest, ReferenceReader
from service.core.repositories.roots import RootRepository
from service.core.storage import ListedObject, ObjectNotFound, ObjectStore

_PAGE = 1000
_CLOCKS_SECONDS = 600
"""What was stored so shortly before the last backup began is read again: clocks may differ."""


@dataclass(frozen=True)
class _Needed:
    keys: frozenset[str]
    deltas: frozenset[Delta]


def take_backup(
    database: Database,
    store: ObjectStore,
    shelf: BackupShelf,
    *,
    state_file: Path | None,
    programs: Path | None,
) -> BackupRecord:
    """`state_file`: where `up` keeps its secrets; `programs`: the folder of Postgres's own. The
    service may run meanwhile.

    Raises DatabaseUnavailable, StorageUnavailable, ConfigurationError, DatabaseCopyFailed; the
    backup does not exist then.
    """
    started_at, previous = time.time(), shelf.latest()
    with tempfile.TemporaryDirectory(prefix="tunery-backup-") as folder:
        copy = Path(folder) / "database"
        with copied(database, copy, programs) as connection:
            needed = _read_needed(RootRepository(connection))
        kept_database = shelf.keep(copy)
        objects, vanished = _Copying(store, shelf, previous, Path(folder)).copy(needed)
    record = BackupRecord(
        name=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(started_at)),
        started_at=started_at,
        database_kind=kind_of(database),
        database=kept_database,
        state=shelf.keep(state_file) if state_file else None,
        objects=objects,
        vanished=tuple(vanished),
    )
    shelf.finish(record)
    return record


def _read_needed(repository: RootRepository) -> _Needed:
    """What an open attempt has stored and no row names is left out: after a restoration another
    attempt does it again."""
    keys = set(repository.operators_keys())
    for project_id in repository.projects():
        keys |= repository.read(project_id).keys
    return _Needed(frozenset(keys), repository.deltas())


class _Copying:
    def __init__(
        self, store: ObjectStore, shelf: BackupShelf, previous: BackupRecord | None, folder: Path
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._known = previous.objects if previous else {}
        self._trusted_before = previous.started_at - _CLOCKS_SECONDS if previous else 0.0
        self._folder = folder

    def copy(self, needed: _Needed) -> tuple[dict[str, KeptObject], list[str]]:
        """What was kept, and what had vanished."""
        objects: dict[str, KeptObject] = {}
        vanished: list[str] = []
        for key in sorted(self._keys(needed)):
            try:
                objects[key] = self._keep(key)
            except ObjectNotFound:
                vanished.append(key)
        return objects, vanished

    def _keys(self, needed: _Needed) -> set[str]:
        keys = set(needed.keys)
        references = ReferenceReader(self._store)
        for delta in needed.deltas:
            keys.add(f"{delta.key}/{MANIFEST_NAME}")
            keys.update(found.key for found in self._below(f"{delta.key}/"))
            try:
                keys |= references.shared(delta)
            except DamagedManifest:
                continue  # the model does not load; whatever is there of it is kept
        return keys

    def _below(self, folder: str) -> Iterator[ListedObject]:
        after = ""
        while page := self._store.list_objects(folder, after=after, limit=_PAGE):
            yield from page
            after = page[-1].key

    def _keep(self, key: str) -> KeptObject:
        listed = self._store.describe(key)
        known = self._known.get(key)
        if (
            known is not None
            and (known.bytes, known.stored_at) == (listed.bytes, listed.stored_at)
            and listed.stored_at < self._trusted_before
            and self._shelf.holds(known.sha256)
        ):
            return known
        copy = self._folder / "object"
        with copy.open("wb") as file:
            for chunk in self._store.iterate(key):
                file.write(chunk)
        return self._shelf.keep(copy, stored_at=listed.stored_at)
