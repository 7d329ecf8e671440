"""What a client does, without doing it.

A *flow* is a generator that yields what is to be done next, a request to send or a pause, and
receives what came of it. Retries, paging and waiting for a job are flows, written once; the
synchronous and the asynchronous client are the two drivers that carry the steps out.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import httpx2

from tunery._uploads import Upload

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One operation of the API: the request, and how its answer is read."""

    method: str
    path: str
    """Below the base URL, without a slash at the front."""
    parse: Callable[[httpx2.Response], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, object] | None = None
    """Sent as JSON."""
    upload: Upload | None = None
    """Sent as a form, in place of `body`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Beside those of every request, or in their place."""
    is_streamed: bool = False
    """The answer's body is left unread."""

    def with_query(self, **values: str) -> "Call[T]":
        return replace(self, query={**self.query, **values})


@dataclass(frozen=True)
class Send:
    """Send the call's request; the driver answers with the response or the failure."""

    call: Call[Any]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Pause:
    """Let time pass; the driver answers with None."""

    seconds: float


Outcome = httpx2.Response | httpx2.RequestError | None
Flow = Generator[Send | Pause, Outcome, T]
