"""Files of the source on their way to this disk: in pieces, and on from where it broke off."""

import time
from pathlib import Path

import httpx2

from tunery._exceptions import APIResponseError, APIStatusError, connection_error
from tunery._retries import pause_seconds
from tunery.migration.source import MAX_RETRIES, Source

_RANGE_NOT_SATISFIABLE = 416


def download(source: Source, file_id: str, path: Path, *, size: int | None) -> None:
    """Make `path` the file of the source, or go on with what an earlier attempt left beside it.
    A file that is there is whole. `size` is what the source says of it, in bytes.

    Raises APIError; what has arrived is kept for the next attempt.
    """
    if path.exists():
        return
    part = path.with_name(f"{path.name}.part")
    fruitless = 0
    while size is None or _size_of(part) != size:
        before = _size_of(part)
        try:
            _receive(source, file_id, part)
            break
        except httpx2.RequestError as error:  # in the middle: before it, the client has retried
            fruitless = 0 if _size_of(part) > before else fruitless + 1
            if fruitless > MAX_RETRIES:
                raise connection_error(error) from error
            time.sleep(pause_seconds(fruitless, error))
    if size is not None and _size_of(part) != size:
        part.unlink()
        raise APIResponseError(f"{file_id} did not arrive with the {size} bytes that it has")
    part.replace(path)


def _receive(source: Source, file_id: str, part: Path) -> None:
    have = _size_of(part)
    try:
        response = source.content(file_id, first_byte=have)
    except APIStatusError as error:
        if error.status_code != _RANGE_NOT_SATISFIABLE:
            raise
        response = source.content(file_id, first_byte=0)
    with_rest = response.headers.get("content-range", "").startswith(f"bytes {have}-")
    goes_on = response.status_code == httpx2.codes.PARTIAL_CONTENT and with_rest
    try:
        with part.open("ab" if goes_on else "wb") as file:
            for piece in response.iter_bytes():
                file.write(piece)
    finally:
        response.close()


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
