"""Sending a large file in parts, several at once, on the event loop."""

import asyncio
from typing import Protocol, TypeVar

from tunery._calls import uploads as calls
from tunery._exceptions import APIResponseError, BadRequestError, NotFoundError
from tunery._flow import Call
from tunery._parts import AT_ONCE, OUTDATED, Pieces, UploadState, size_of
from tunery._types import File
from tunery._uploads import Upload

T = TypeVar("T")


class _Performer(Protocol):
    async def perform(self, call: Call[T], /) -> T: ...


async def send_in_parts(driver: _Performer, upload: Upload, state: UploadState) -> File:
    """See `tunery._sync_parts.send_in_parts`."""
    size = size_of(upload)
    is_resumed = state.fits(size)
    if not is_resumed:
        await _begin(driver, upload, state, size)
    try:
        return await _send(driver, upload, state)
    except (NotFoundError, BadRequestError) as error:
        if not is_resumed or error.code not in OUTDATED:
            raise
    await _begin(driver, upload, state, size)  # what was kept is of no use any more
    return await _send(driver, upload, state)


async def _begin(driver: _Performer, upload: Upload, state: UploadState, size: int) -> None:
    call = calls.create(filename=upload.filename, purpose=upload.purpose or "", size=size)
    state.begin((await driver.perform(call)).id, size)


async def _send(driver: _Performer, upload: Upload, state: UploadState) -> File:
    upload_id = state.upload_id
    assert upload_id is not None

    async def send(number: int, piece: bytes) -> None:
        part = await driver.perform(calls.add_part(upload_id, piece))
        state.parts[number] = part.id
        if upload.on_progress:
            upload.on_progress(state.sent, state.bytes)

    with upload.open() as content:
        pieces = Pieces(content, state.part_bytes)
        running: set[asyncio.Task[None]] = set()
        try:
            for number, piece in pieces:
                if number in state.parts:
                    continue
                if len(running) == AT_ONCE:
                    running = await _some(running)
                running.add(asyncio.create_task(send(number, piece)))
            while running:
                running = await _some(running)
        finally:
            # After a failure: what was under way may still arrive.
            await asyncio.gather(*running, return_exceptions=True)
    done = await driver.perform(calls.complete(upload_id, state.in_order(), md5=pieces.md5))
    if done.file is None:
        raise APIResponseError(f"{done.id} is complete, and the answer names no file")
    return done.file


async def _some(running: set["asyncio.Task[None]"]) -> set["asyncio.Task[None]"]:
    """Wait for one or more; the rest. Raises what one of them has raised."""
    finished, rest = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in finished:
        task.result()
    return rest
