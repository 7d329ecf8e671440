"""Where backups lie: a folder or a bucket, with contents by digest and a record for each backup."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from service.core.backups.record import BackupDamaged, BackupRecord, KeptObject
from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.core.storage import ObjectNotFound, ObjectStore, s3_client

_CHUNK_BYTES = 1024 * 1024
_RECORDS = "backups"


class BackupPlace(Protocol):
    """Names are relative, with `/`."""

    def names(self, folder: str) -> list[str]:
        """Of what lies in the folder, without it."""

    def has(self, name: str) -> bool: ...

    def put(self, name: str, source: Path) -> None:
        """Whole or not at all."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Raises BackupDamaged when it is missing."""


class FolderPlace:
    """Readable by its owner alone: a backup holds the service's secrets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self, folder: str) -> list[str]:
        place = self._folder / folder
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def put(self, name: str, source: Path) -> None:
        target = self._folder / name
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = target.with_name(f".{target.name}.{os.getpid()}")
            with source.open("rb") as read, unfinished.open("wb") as written:
                os.fchmod(written.fileno(), 0o600)
                while chunk := read.read(_CHUNK_BYTES):
                    written.write(chunk)
                written.flush()
                os.fsync(written.fileno())
            unfinished.replace(target)
        except OSError as error:
            raise ConfigurationError(f"{target} cannot be written ({error.strerror}).") from error

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            with (self._folder / name).open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError:
            raise BackupDamaged(f"{name} is missing from the backup.") from None


class BucketPlace:
    """Below a prefix of a bucket."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store = store
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def names(self, folder: str) -> list[str]:
        place = f"{self._prefix}{folder}/"
        return sorted(key.removeprefix(place) for key in self._store.list_keys(place))

    def has(self, name: str) -> bool:
        try:
            self._store.size(self._prefix + name)
        except ObjectNotFound:
            return False
        return True

    def put(self, name: str, source: Path) -> None:
        self._store.put_file(self._prefix + name, source)

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            yield from self._store.iterate(self._prefix + name)
        except ObjectNotFound:
            raise BackupDamaged(f"{name} is missing from the backup.") from None


def open_place(address: str, settings: Settings) -> BackupPlace:
    """`s3://bucket/prefix` with the credentials for backups, or a folder.

    Raises ConfigurationError for any other kind of address.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return FolderPlace(Path(address).expanduser().absolute())
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ConfigurationError(f"{address!r} is neither a folder nor s3://BUCKET[/PREFIX].")
    theirs = settings.model_copy(
        update={
            "s3_endpoint_url": settings.backup_s3_endpoint_url,
            "s3_access_key_id": settings.backup_s3_access_key_id,
            "s3_secret_access_key": settings.backup_s3_secret_access_key,
        }
    )
    return BucketPlace(ObjectStore(s3_client(theirs), bucket), prefix)


class BackupShelf:
    """All backups of one place."""

    def __init__(self, place: BackupPlace) -> None:
        self._place = place

    def latest(self) -> BackupRecord | None:
        names = [name for name in self._place.names(_RECORDS) if name.endswith(".json")]
        return self.find(names[-1].removesuffix(".json")) if names else None

    def find(self, name: str) -> BackupRecord:
        """Raises BackupDamaged."""
        return BackupRecord.from_bytes(b"".join(self._place.chunks(f"{_RECORDS}/{name}.json")))

    def keep(self, source: Path, *, stored_at: float = 0.0) -> KeptObject:
        """Store a file's content unless it is there."""
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not self.holds(digest):
            self._place.put(_content(digest), source)
        return KeptObject(digest, source.stat().st_size, stored_at)

    def holds(self, sha256: str) -> bool:
        return self._place.has(_content(sha256))

    def finish(self, record: BackupRecord) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(record.to_bytes())
            file.flush()
            self._place.put(f"{_RECORDS}/{record.name}.json", Path(file.name))

    def fetch(self, kept: KeptObject, target: IO[bytes]) -> None:
        """Raises BackupDamaged for content that is not what its record says."""
        measured = hashlib.sha256()
        for chunk in self._place.chunks(_content(kept.sha256)):
            measured.update(chunk)
            target.write(chunk)
        if measured.hexdigest() != kept.sha256:
            raise BackupDamaged(f"The content {kept.sha256} in the backup is damaged.")
        target.flush()


def _content(sha256: str) -> str:
    return f"objects/{sha256[:2]}/{sha256}"
