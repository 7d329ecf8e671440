"""Looking at data before it is trained on."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

from tunery._calls.methods import MethodType
from tunery._calls.parts import merged, reading, segment
from tunery._flow import Call
from tunery._types import FileReport, Preview


class PreviewMethod(TypedDict):
    """How the rows would be trained on."""

    type: MethodType


class PreviewRequest(TypedDict, total=False):
    """What `fine_tuning.preview` takes: either a file or rows."""

    model: Required[str]
    training_file: str
    rows: Sequence[Any]
    """At most 20, as the lines of a file would hold them."""
    method: PreviewMethod
    max_seq_length: int
    over_length: Literal["error", "truncate", "skip"]
    first_line: int
    limit: int
    """Lines of the file, at most 20."""
    extra_body: Mapping[str, Any]


def preview(request: PreviewRequest) -> Call[Preview]:
    return Call("POST", "fine_tuning/preview", reading(Preview), body=merged(request))


def report(
    file_id: str,
    *,
    model: str | None = None,
    method: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Call[FileReport]:
    given = {
        "model": model,
        "method": method,
        "after": None if after is None else str(after),
        "limit": None if limit is None else str(limit),
    }
    query = {name: value for name, value in given.items() if value is not None}
    return Call("GET", f"files/{segment(file_id)}/report", reading(FileReport), query=query)
