"""Frames on their way to one client, merged while it is busy and bounded when it stops reading."""

import asyncio

from service.core.engine_protocol import FinishedStream, StepFrame, StreamTokens


class SlowConsumer(Exception):
    """The client reads more slowly than the engine writes, by more than the outbox holds."""


class FrameOutbox:
    """Single reader, single writer, both on one event loop.

    While the reader is away frames merge into one, so a client that lags a little loses nothing
    and costs no more memory than its tokens. `max_tokens` (524,288: some 12 MB on the wire, less
    than a client takes in one frame) unread means it has stopped reading.
    """

    def __init__(self, max_tokens: int = 524_288) -> None:
        self._max_tokens = max_tokens
        self._tokens: dict[str, list[StreamTokens]] = {}
        self._finished: list[FinishedStream] = []
        self._size = 0
        self._changed = asyncio.Event()

    def put(self, frame: StepFrame) -> None:
        """Add a frame. Raises SlowConsumer instead of growing past the limit."""
        size = self._size + len(frame.finished) + sum(map(_size, frame.tokens))
        if size > self._max_tokens:
            raise SlowConsumer(f"more than {self._max_tokens} tokens unread")
        self._size = size
        for stream in frame.tokens:
            self._tokens.setdefault(stream.request, []).append(stream)
        self._finished.extend(frame.finished)
        self._changed.set()

    async def take(self) -> StepFrame:
        """Wait for something to send and take all of it."""
        await self._changed.wait()
        self._changed.clear()
        frame = StepFrame(
            tokens=tuple(map(StreamTokens.join, self._tokens.values())),
            finished=tuple(self._finished),
        )
        self._tokens, self._finished, self._size = {}, [], 0
        return frame


def _size(stream: StreamTokens) -> int:
    """In tokens; a reported likeliest token counts like one that was drawn."""
    reported = (*stream.logprobs, *stream.prompt_logprobs)
    return len(stream.tokens) + sum(1 + len(entry.top) for entry in reported)
