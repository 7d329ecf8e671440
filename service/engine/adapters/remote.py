"""Reads a delta's files from the object store."""

from service.core.errors import AdapterCorrupt
from service.core.manifest import ManifestFile
from service.core.storage import ObjectNotFound, ObjectStore
from service.engine.adapters.files import ReadFile


def remote_reader(store: ObjectStore, prefix: str) -> ReadFile:
    """Files below `prefix`, and those that the manifest shares from elsewhere. The reader raises
    AdapterCorrupt for one that is missing and StorageUnavailable when the store does not answer."""

    def read(name: str, limit: int, shared: ManifestFile | None = None) -> bytes:
        key = f"{prefix.rstrip('/')}/{name}"
        if shared is not None and shared.key is not None:
            key = shared.key
        content = bytearray()
        try:
            for chunk in store.iterate(key):
                content += chunk
                if len(content) > limit:
                    break
        except ObjectNotFound as error:
            raise AdapterCorrupt(f"{key} is missing from the object store") from error
        return bytes(content)

    return read
