"""Operations on files."""

import httpx2

from tunery._calls.parts import cursor, reading, segment
from tunery._flow import Call
from tunery._types import Deleted, File, Page
from tunery._uploads import FileSource, OnProgress, Upload, name_of


def form(
    source: FileSource, *, purpose: str, filename: str | None, on_progress: OnProgress | None
) -> Upload:
    return Upload(source, filename or name_of(source), purpose, on_progress)


def send(upload: Upload) -> Call[File]:
    """In one request."""
    return Call("POST", "files", reading(File), upload=upload)


def list_page(
    *, purpose: str | None = None, limit: int | None = None, after: str | None = None
) -> Call[Page[File]]:
    query = cursor(limit=limit, after=after)
    if purpose is not None:
        query["purpose"] = purpose
    return Call("GET", "files", reading(Page[File]), query=query)


def retrieve(file_id: str) -> Call[File]:
    return Call("GET", f"files/{segment(file_id)}", reading(File))


def content(file_id: str) -> Call[bytes]:
    return Call("GET", f"files/{segment(file_id)}/content", _body)


def stream(file_id: str) -> Call[httpx2.Response]:
    """The open answer, for whoever reads it piece by piece and closes it."""
    path = f"files/{segment(file_id)}/content"
    return Call("GET", path, lambda response: response, is_streamed=True)


def delete(file_id: str) -> Call[Deleted]:
    return Call("DELETE", f"files/{segment(file_id)}", reading(Deleted))


def _body(response: httpx2.Response) -> bytes:
    return response.content
