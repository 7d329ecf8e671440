"""An adapter's files as bytes, each proven by the manifest, which the digest proves.

The bytes that were hashed are the bytes that are parsed: nothing is read a second time.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from service.core.adapters import CONFIG_NAME, MAX_CONFIG_BYTES, MAX_WEIGHTS_BYTES, WEIGHTS_NAME
from service.core.errors import AdapterCorrupt
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile

MAX_MANIFEST_BYTES = 1024**2

ReadFile = Callable[[str, int], bytes]
"""(name, limit): the file's bytes; past `limit` it may stop, the difference is found anyhow."""


@dataclass(frozen=True)
class AdapterFiles:
    """A whole adapter, in memory, unparsed."""

    manifest: Manifest
    manifest_bytes: bytes
    config: bytes
    weights: bytes

    def by_name(self) -> dict[str, bytes]:
        """In the order to write them: the manifest last, as everywhere."""
        return {
            CONFIG_NAME: self.config,
            WEIGHTS_NAME: self.weights,
            MANIFEST_NAME: self.manifest_bytes,
        }


def read_verified(digest: str, read: ReadFile) -> AdapterFiles:
    """Read manifest, configuration and weights. Raises AdapterCorrupt when one is not what the
    digest promises."""
    listing = read_listing(digest, read)
    return AdapterFiles(
        manifest=listing.manifest,
        manifest_bytes=listing.content,
        config=listing.read(CONFIG_NAME, MAX_CONFIG_BYTES, read),
        weights=listing.read(WEIGHTS_NAME, MAX_WEIGHTS_BYTES, read),
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
    content = read(name, file.bytes)
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.sha256:
        raise AdapterCorrupt(f"{name} is not what its manifest says")
    return content
