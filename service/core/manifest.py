"""The manifest: written last, so that its existence means the delta is whole.

Its sha256 is the delta's digest, which names the delta everywhere: in the model row, in caches,
in `system_fingerprint`.
"""

import hashlib
import json
from dataclasses import asdict, dataclass

MANIFEST_NAME = "manifest.json"


@dataclass(frozen=True)
class ManifestFile:
    """One stored file; `name` is relative to the manifest's folder."""

    name: str
    bytes: int
    sha256: str
    key: str | None = None
    """Where it lies if not there: a file shared with another delta."""


@dataclass(frozen=True)
class Manifest:
    """A delta over a base, complete."""

    kind: str
    """`delta` for what answers, whose parts show in its files' names; `lora` in older manifests of
    adapters alone; `state` for what only resuming needs."""
    base: str
    base_digest: str
    job: str
    step: int
    files: tuple[ManifestFile, ...]
    format: int = 1

    def to_bytes(self) -> bytes:
        """Canonical JSON: equal manifests have equal bytes."""
        fields = asdict(self)
        for file in fields["files"]:
            if file["key"] is None:
                del file["key"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """sha256 of `to_bytes`, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Parse; raises ValueError on anything that is not a manifest of a known format."""
        fields = json.loads(content)
        if not isinstance(fields, dict) or fields.get("format") != 1:
            raise ValueError("not a manifest of format 1")
        try:
            files = tuple(ManifestFile(**entry) for entry in fields.pop("files"))
            return cls(files=files, **fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a whole manifest: {error}") from error
