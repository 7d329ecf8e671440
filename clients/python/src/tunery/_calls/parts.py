"""What the builders share."""

from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

import httpx2

from tunery._types import APIObject

A = TypeVar("A", bound=APIObject)


def reading(kind: type[A]) -> Callable[[httpx2.Response], A]:
    """A parser of JSON answers."""
    return lambda response: kind.model_validate_json(response.content)


def segment(name: str) -> str:
    """An id or model name as one segment of a path; a slash in it stays part of the name.

    Raises ValueError for a name that would make another path of it.
    """
    if name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no id or model name")
    return quote(name, safe=":")


def cursor(*, limit: int | None = None, after: str | None = None) -> dict[str, str]:
    """The query of a list; what is None is left to the server."""
    query = {"limit": None if limit is None else str(limit), "after": after}
    return {name: value for name, value in query.items() if value is not None}


def merged(request: Mapping[str, object]) -> dict[str, object]:
    """The JSON body of a request: `extra_body` is laid over the named fields."""
    body = {name: value for name, value in request.items() if name != "extra_body"}
    extra = request.get("extra_body")
    return {**body, **extra} if isinstance(extra, Mapping) else body
