"""Sending a large file in parts, several at once, by threads."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

from tunery._calls import uploads as calls
from tunery._exceptions import APIResponseError, BadRequestError, NotFoundError
from tunery._flow import Call
from tunery._parts import AT_ONCE, OUTDATED, Pieces, UploadState, size_of
from tunery._types import File, FilePart
from tunery._uploads import Upload

T = TypeVar("T")


class _Performer(Protocol):
    def perform(self, call: Call[T], /) -> T: ...


def send_in_parts(driver: _Performer, upload: Upload, state: UploadState) -> File:
    """Every part is repeated by itself; what has arrived is in `state` whatever happens.

    Raises what `perform` raises.
    """
    size = size_of(upload)
    is_resumed = state.fits(size)
    if not is_resumed:
        _begin(driver, upload, state, size)
    try:
        return _send(driver, upload, state)
    except (NotFoundError, BadRequestError) as error:
        if not is_resumed or error.code not in OUTDATED:
            raise
    _begin(driver, upload, state, size)  # what was kept is of no use any more
    return _send(driver, upload, state)


def _begin(driver: _Performer, upload: Upload, state: UploadState, size: int) -> None:
    call = calls.create(filename=upload.filename, purpose=upload.purpose or "", size=size)
    state.begin(driver.perform(call).id, size)


def _send(driver: _Performer, upload: Upload, state: UploadState) -> File:
    assert state.upload_id is not None
    with upload.open() as content, ThreadPoolExecutor(AT_ONCE) as threads:
        pieces = Pieces(content, state.part_bytes)
        running: dict[Future[FilePart], int] = {}
        try:
            for number, piece in pieces:
                if number in state.parts:
                    continue
                if len(running) == AT_ONCE:
                    _collect_one(running, state, upload)
                call = calls.add_part(state.upload_id, piece)
                running[threads.submit(driver.perform, call)] = number
            while running:
                _collect_one(running, state, upload)
        finally:
            _keep_rest(running, state)
    done = driver.perform(calls.complete(state.upload_id, state.in_order(), md5=pieces.md5))
    if done.file is None:
        raise APIResponseError(f"{done.id} is complete, and the answer names no file")
    return done.file


def _collect_one(
    running: dict["Future[FilePart]", int], state: UploadState, upload: Upload
) -> None:
    finished, _ = wait(running, return_when=FIRST_COMPLETED)
    part = finished.pop()
    number = running.pop(part)
    state.parts[number] = part.result().id
    report: Callable[[int, int], None] | None = upload.on_progress
    if report:
        report(state.sent, state.bytes)


def _keep_rest(running: dict["Future[FilePart]", int], state: UploadState) -> None:
    """After a failure: what was under way may still arrive."""
    for part, number in running.items():
        if part.exception() is None:
            state.parts[number] = part.result().id
