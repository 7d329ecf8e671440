"""Chat completions that their callers asked to have stored."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StoredCompletion:
    """A conversation and its answer, as they were on the wire."""

    id: str
    model: str
    messages: tuple[Mapping[str, object], ...]
    answer: Mapping[str, object]
    metadata: dict[str, str] | None
    created_at: float
