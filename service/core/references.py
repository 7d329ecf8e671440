"""Which objects are needed: those that rows point at, and those that their manifests name."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.core.domain.models import Delta
from service.core.errors import StorageUnavailable
from service.core.manifest import MANIFEST_NAME, Manifest
from service.core.repositories.roots import Roots
from service.core.storage import ObjectNotFound, ObjectStore


@dataclass(frozen=True)
class References:
    """Objects by key, and folders of which everything is needed."""

    keys: frozenset[str]
    folders: frozenset[str]
    """Without the last `/`."""

    def needs(self, key: str) -> bool:
        return key in self.keys or any(folder in self.folders for folder in _folders_of(key))


class DamagedManifest(StorageUnavailable):
    """What a delta shares with others cannot be known."""

    code = "manifest_damaged"


class ReferenceReader:
    """Reads each manifest once: a delta's digest is that of its manifest, which never changes."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._shared: dict[Delta, frozenset[str]] = {}

    def read(self, roots: Roots) -> References:
        """Raises StorageUnavailable, also for a manifest that is missing or not what its row says:
        what it shares with others cannot be known then."""
        self._shared = {delta: self.shared(delta) for delta in roots.deltas}
        shared = frozenset(key for keys in self._shared.values() for key in keys)
        folders = {prefix.rstrip("/") for prefix in roots.prefixes}
        folders |= {delta.key for delta in roots.deltas}
        return References(roots.keys | shared, frozenset(folders))

    def shared(self, delta: Delta) -> frozenset[str]:
        """Keys of the files that lie elsewhere. Raises StorageUnavailable, DamagedManifest."""
        known = self._shared.get(delta)
        if known is not None:
            return known
        try:
            manifest = Manifest.from_bytes(self._store.get_bytes(f"{delta.key}/{MANIFEST_NAME}"))
        except (ObjectNotFound, ValueError) as error:
            raise DamagedManifest(f"the manifest of {delta.key} is damaged: {error}") from error
        if manifest.digest != delta.digest:
            raise DamagedManifest(f"the manifest of {delta.key} is not the one of its row")
        return frozenset(file.key for file in manifest.files if file.key is not None)


def _folders_of(key: str) -> Iterator[str]:
    end = key.rfind("/")
    while end > 0:
        yield key[:end]
        end = key.rfind("/", 0, end)
