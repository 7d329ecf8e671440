"""The object store: any S3. Keys in, bytes out; every failure becomes a StorageUnavailable."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from service.core.errors import NotFound, StorageUnavailable
from service.core.settings import Settings
from service.core.storage_join import JoinPart, StoredPiece, plan_join
from service.core.storage_versions import is_versioned, versions_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK_BYTES = 1024 * 1024
_ONE_PART_AT_A_TIME = TransferConfig(use_threads=False)
"""Holds 8 MiB of a stream in memory; with boto3's threads it would be ten such parts."""
_MISSING = {"404", "NoSuchKey", "NotFound"}


__all__ = [
    "ListedObject",
    "ObjectNotFound",
    "ObjectStore",
    "StoredObject",
    "StoredObjectSource",
    "StoredPiece",
    "s3_client",
]


class ObjectNotFound(NotFound):
    """No object under this key."""

    code = "object_not_found"


@dataclass(frozen=True)
class StoredObject:
    """What was written."""

    key: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ListedObject:
    """What a listing tells of an object."""

    key: str
    bytes: int
    stored_at: float
    """Seconds since 1970, by the store's clock."""


class _Measured:
    """A reader that counts and hashes what passes through, and may refuse to go on."""

    def __init__(self, source: IO[bytes], check_size: Callable[[int], None]) -> None:
        self._source = source
        self._check_size = check_size
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        self.size += len(chunk)
        self._check_size(self.size)
        self._digest.update(chunk)
        return chunk

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise ObjectNotFound(f"no object {key!r}") from error
        raise StorageUnavailable(f"the object store refused {key!r}: {error}") from error
    except BotoCoreError as error:
        raise StorageUnavailable(f"the object store does not answer for {key!r}") from error


def s3_client(settings: Settings) -> "S3Client":
    """One for the operator's own credentials; it sends nothing yet."""
    access, secret = settings.s3_access_key_id, settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=settings.s3_endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=access.get_secret_value() if access else None,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "max_attempts": 4},
            s3={"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
        ),
    )


class ObjectStore:
    """One bucket. Thread-safe: boto3 clients are."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self.bucket = bucket

    @classmethod
    def from_settings(cls, settings: Settings) -> "ObjectStore":
        """Connects lazily: no request is sent here, so a process may fork afterwards."""
        return cls(s3_client(settings), settings.s3_bucket)

    def ensure_bucket(self) -> None:
        """Create the bucket unless it is there."""
        with _translated(self.bucket):
            try:
                self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in _MISSING:
                    raise
                self._client.create_bucket(Bucket=self.bucket)

    def put_bytes(self, key: str, content: bytes) -> StoredObject:
        """Write a small object; the store verifies the checksum that boto3 sends along."""
        with _translated(key):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return StoredObject(key, len(content), hashlib.sha256(content).hexdigest())

    def put_stream(
        self, key: str, source: IO[bytes], *, check_size: Callable[[int], None] = lambda _: None
    ) -> StoredObject:
        """Write from a stream, multipart when large, never whole in memory.

        `check_size` is called with the bytes read so far and may raise to stop the upload.
        """
        measured = _Measured(source, check_size)
        with _translated(key):
            self._client.upload_fileobj(
                cast(IO[bytes], measured), self.bucket, key, Config=_ONE_PART_AT_A_TIME
            )
        return StoredObject(key, measured.size, measured.sha256)

    def put_file(self, key: str, path: Path) -> StoredObject:
        with path.open("rb") as source:
            return self.put_stream(key, source)

    def get_bytes(self, key: str) -> bytes:
        """Read a small object. Raises ObjectNotFound."""
        return b"".join(self.iterate(key))

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """The bytes [start, end), which must lie within the object. Raises ObjectNotFound."""
        if start >= end:
            return b""
        with _translated(key):
            wanted = f"bytes={start}-{end - 1}"
            body = self._client.get_object(Bucket=self.bucket, Key=key, Range=wanted)["Body"]
            return body.read()

    def iterate(self, key: str) -> Iterator[bytes]:
        """Read in chunks of 1 MiB. Raises ObjectNotFound, at the first chunk."""
        with _translated(key):
            body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            try:
                yield from body.iter_chunks(_CHUNK_BYTES)
            finally:
                body.close()

    def describe(self, key: str) -> ListedObject:
        """Raises ObjectNotFound."""
        with _translated(key):
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        return ListedObject(key, head["ContentLength"], head["LastModified"].timestamp())

    def size(self, key: str) -> int:
        """Bytes. Raises ObjectNotFound."""
        return self.describe(key).bytes

    def join(self, key: str, pieces: Sequence[StoredPiece]) -> None:
        """Make one object of stored ones, copied within the store.

        S3 copies ranges of 5 MiB and more; what is smaller passes through memory, some 10 MiB at
        a time.
        """
        with _translated(key):
            begun = self._client.create_multipart_upload(Bucket=self.bucket, Key=key)
            named: dict[str, Any] = {
                "Bucket": self.bucket,
                "Key": key,
                "UploadId": begun["UploadId"],
            }
            try:
                done: Any = [
                    {"PartNumber": number, "ETag": self._put_part(named, number, part)}
                    for number, part in enumerate(plan_join(pieces), start=1)
                ]
                self._client.complete_multipart_upload(**named, MultipartUpload={"Parts": done})
            except BaseException:
                self._client.abort_multipart_upload(**named)
                raise

    def _put_part(self, upload: dict[str, Any], number: int, part: JoinPart) -> str:
        if part.is_copy:
            (piece,) = part.ranges
            copied = self._client.upload_part_copy(
                **upload,
                PartNumber=number,
                CopySource={"Bucket": self.bucket, "Key": piece.key},
                CopySourceRange=f"bytes={piece.start}-{piece.end - 1}",
            )
            return copied["CopyPartResult"]["ETag"]
        content = b"".join(self.get_range(p.key, p.start, p.end) for p in part.ranges)
        return self._client.upload_part(**upload, PartNumber=number, Body=content)["ETag"]

    def abort_uploads(self, prefix: str, *, begun_before: float = float("inf")) -> None:
        """Give up whatever was begun below the prefix and never ended: it occupies the store, and
        no list of objects shows it."""
        with _translated(prefix):
            begun = self._client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
            for upload in begun.get("Uploads", ()):
                if upload["Initiated"].timestamp() < begun_before:
                    self._client.abort_multipart_upload(
                        Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )

    @cached_property
    def _is_versioned(self) -> bool:
        return is_versioned(self._client, self.bucket)

    def delete(self, key: str) -> None:
        """With every version that the bucket has kept. A missing object is no error."""
        with _translated(key):
            if not self._is_versioned:
                self._client.delete_object(Bucket=self.bucket, Key=key)
                return
            for version in list(versions_of(self._client, self.bucket, key)):
                self._client.delete_object(Bucket=self.bucket, Key=key, VersionId=version)

    def list_objects(self, prefix: str, *, after: str = "", limit: int) -> list[ListedObject]:
        """One page, by key, of what comes after the key `after`; at most 1,000."""
        with _translated(prefix):
            page = self._client.list_objects_v2(
                Bucket=self.bucket, Prefix=prefix, StartAfter=after, MaxKeys=limit
            )
        return [
            ListedObject(entry["Key"], entry["Size"], entry["LastModified"].timestamp())
            for entry in page.get("Contents", ())
        ]

    def list_keys(self, prefix: str) -> Iterator[str]:
        with _translated(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            for page in pages:
                yield from (entry["Key"] for entry in page.get("Contents", ()))

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object below a prefix; returns how many."""
        keys = list(self.list_keys(prefix))
        for key in keys:
            self.delete(key)
        return len(keys)


@dataclass(frozen=True)
class StoredObjectSource:
    """A stored object to be read as a stream or in ranges; a `ByteSource` of data sets."""

    store: ObjectStore
    key: str
    size: int

    def stream(self) -> Iterator[bytes]:
        return self.store.iterate(self.key)

    def range(self, start: int, end: int) -> bytes:
        return self.store.get_range(self.key, start, end)
