"""A delta's files as bytes, each proven by the manifest, which the digest proves.

The bytes that were hashed are the bytes that are parsed: nothing is read a second time.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from service.core.adapters import CONFIG_NAME, MAX_CONFIG_BYTES, MAX_WEIGHTS_BYTES, WEIGHTS_NAME
from service.core.errors import AdapterCorrupt
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile

OVERLAY_NAME = "overlay.safetensors"
HEAD_SPEC_NAME = "head.json"
HEAD_NAME = "head.safetensors"
"""With the manifest and an adapter's two the only names that are ever read; whatever else lies
there is not touched."""

MAX_MANIFEST_BYTES = 1024**2
_MAX_BYTES = {
    CONFIG_NAME: MAX_CONFIG_BYTES,
    WEIGHTS_NAME: MAX_WEIGHTS_BYTES,
    OVERLAY_NAME: 64 * 1024**3,
    HEAD_SPEC_NAME: 1024**2,
    HEAD_NAME: 1024**3,
}
_TOGETHER = ((CONFIG_NAME, WEIGHTS_NAME), (HEAD_SPEC_NAME, HEAD_NAME))
"""Neither means anything without the other."""


class ReadFile(Protocol):
    """Where files come from."""

    def __call__(self, name: str, limit: int, shared: ManifestFile | None = None) -> bytes:
        """The file's bytes; past `limit` it may stop, the difference is found anyhow. `shared` is
        its entry in the manifest where it lies elsewhere than beside it."""


@dataclass(frozen=True)
class DeltaFiles:
    """A whole delta, in memory, unparsed."""

    manifest: Manifest
    manifest_bytes: bytes
    contents: Mapping[str, bytes]
    """Of its parts, by name."""

    def own(self) -> dict[str, bytes]:
        """What lies beside the manifest, in the order to write it: the manifest last, as
        everywhere."""
        shared = {file.name for file in self.manifest.files if file.key is not None}
        own = {name: content for name, content in self.contents.items() if name not in shared}
        return {**own, MANIFEST_NAME: self.manifest_bytes}

    def shared(self) -> dict[ManifestFile, bytes]:
        """What lies elsewhere."""
        return {
            file: self.contents[file.name]
            for file in self.manifest.files
            if file.key is not None and file.name in self.contents
        }


def read_verified(digest: str, read: ReadFile) -> DeltaFiles:
    """Read the manifest and the files of every part. Raises AdapterCorrupt when one is not what
    the digest promises."""
    listing = read_listing(digest, read)
    listed = {file.name for file in listing.manifest.files}
    present = [name for name in _MAX_BYTES if name in listed]
    if not present:
        raise AdapterCorrupt(f"the manifest lists no {CONFIG_NAME} and no other part of a model")
    for pair in _TOGETHER:
        missing = [name for name in pair if name not in listed]
        if len(missing) == 1:
            raise AdapterCorrupt(f"the manifest lists no {missing[0]}")
    return DeltaFiles(
        manifest=listing.manifest,
        manifest_bytes=listing.content,
        contents={name: listing.read(name, _MAX_BYTES[name], read) for name in present},
    )


@dataclass(frozen=True)
class Listing:
    """A manifest that its digest has proven."""

    manifest: Manifest
    content: bytes

    def read(self, name: str, limit: int, read: ReadFile) -> bytes:
        """One of its files. Raises AdapterCorrupt when it is not what the manifest says."""
        listed = {file.name: file for file in self.manifest.files}
        return _read_listed(listed.get(name), name, limit, read)


def read_listing(digest: str, read: ReadFile) -> Listing:
    """Raises AdapterCorrupt when the manifest is not what the digest promises."""
    content = read(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    if hashlib.sha256(content).hexdigest() != digest:
        raise AdapterCorrupt(f"the manifest does not match the digest {digest}")
    try:
        return Listing(Manifest.from_bytes(content), content)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise AdapterCorrupt("the manifest is not one of a known format") from error


def _read_listed(file: ManifestFile | None, name: str, limit: int, read: ReadFile) -> bytes:
    if file is None:
        raise AdapterCorrupt(f"the manifest lists no {name}")
    if file.bytes > limit:
        raise AdapterCorrupt(f"{name} has {file.bytes} bytes; more than {limit} are not loaded")
    content = read(name, file.bytes, file if file.key is not None else None)
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.sha256:
        raise AdapterCorrupt(f"{name} is not what its manifest says")
    return content
