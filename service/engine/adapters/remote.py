"""Reads an adapter's files from the object store."""

from service.core.errors import AdapterCorrupt
from service.core.storage import ObjectNotFound, ObjectStore
from service.engine.adapters.files import ReadFile


def remote_reader(store: ObjectStore, prefix: str) -> ReadFile:
    """Files below `prefix`. The reader raises AdapterCorrupt for one that is missing and
    StorageUnavailable when the store does not answer."""

    def read(name: str, limit: int) -> bytes:
        key = f"{prefix.rstrip('/')}/{name}"
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
