"""The audit log as a chain: each entry's hash covers its content and the hash before it.

Whoever changes, inserts or removes an entry has to write all the later ones anew, and the head that
the project keeps. Who writes a head down elsewhere sees even that.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class AuditContent:
    """Who did what to what, and where in the chain it stands."""

    id: str
    project_id: str
    number: int
    """1 is the project's first entry."""
    actor: str
    """A key's id, or a part of the service."""
    action: str
    subject_id: str
    details: dict[str, Any] | None
    created_at: float
    previous_hash: str
    """Empty at the first entry."""

    def hash(self) -> str:
        """SHA-256, hex, of the content as JSON: ASCII, keys sorted, no spaces."""
        canonical = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True)
class AuditEntry:
    """An entry as it is stored."""

    content: AuditContent
    hash: str


@dataclass(frozen=True)
class ChainHead:
    """How many entries a project's chain has, and the last one's hash."""

    entries: int = 0
    hash: str = ""


@dataclass(frozen=True)
class BrokenChain:
    """The first place where a chain does not hold."""

    number: int
    entry_id: str | None
    """None where entries are missing at the end."""
    reason: str


def first_break(entries: Iterable[AuditEntry], head: ChainHead) -> BrokenChain | None:
    """Where the chain does not hold; None where it does. `entries` by ascending number."""
    seen = ChainHead()
    for entry in entries:
        content, expected = entry.content, seen.entries + 1
        if content.number != expected:
            reason = f"it has the number {content.number} and should have {expected}"
        elif content.previous_hash != seen.hash:
            reason = "it does not follow from the entry before it"
        elif content.hash() != entry.hash:
            reason = "its content does not have its hash"
        else:
            seen = ChainHead(content.number, entry.hash)
            continue
        return BrokenChain(expected, content.id, reason)
    if seen == head:
        return None
    reason = f"the chain has {seen.entries} entries and should have {head.entries}"
    if seen.entries == head.entries:
        reason = "the last entry is not the one that the project's head names"
    return BrokenChain(min(seen.entries, head.entries) + 1, None, reason)
