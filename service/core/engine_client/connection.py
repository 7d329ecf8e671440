"""One WebSocket to one engine, shared by many streams."""

import asyncio
import logging
from itertools import count
from typing import Self

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from service.core.engine_protocol import (
    AbortRequest,
    AddRequest,
    FinishedStream,
    StepFrame,
    StreamTokens,
)
from service.core.errors import EngineUnavailable

logger = logging.getLogger(__name__)

_OPEN_SECONDS = 5.0
_MAX_FRAME_BYTES = 16 * 1024**2

StreamQueue = asyncio.Queue[StreamTokens | FinishedStream | Exception]
"""Unbounded, but a stream brings at most its `max_tokens`."""


class EngineConnection:
    """Sends requests, and deals the frames that come back to the streams they name."""

    def __init__(self, url: str, socket: ClientConnection) -> None:
        self._url = url
        self._socket = socket
        self._streams: dict[str, StreamQueue] = {}
        self._ids = count(1)
        self._aborts: set[asyncio.Task[None]] = set()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, *, internal_token: str) -> Self:
        """Raises OSError, TimeoutError or InvalidHandshake."""
        address = url.replace("http", "ws", 1).rstrip("/") + "/generate"
        socket = await connect(
            address,
            additional_headers={"Authorization": f"Bearer {internal_token}"},
            compression=None,  # small frames on a near network: only latency to lose
            proxy=None,
            open_timeout=_OPEN_SECONDS,
            close_timeout=1,
            max_size=_MAX_FRAME_BYTES,
        )
        return cls(url, socket)

    @property
    def is_lost(self) -> bool:
        return self._reader.done()

    def new_request_id(self) -> str:
        return f"s{next(self._ids)}"

    async def add(self, request: AddRequest) -> StreamQueue:
        """Start a stream; its events come through the queue. Raises EngineUnavailable."""
        queue: StreamQueue = asyncio.Queue()
        self._streams[request.request] = queue
        try:
            await self._socket.send(request.model_dump_json())
        except ConnectionClosed as error:
            del self._streams[request.request]
            raise self._lost() from error
        except BaseException:
            self.leave(request.request)
            raise
        return queue

    def leave(self, request: str) -> None:
        """Forget a stream, and abort it in the engine unless it ended. Never waits, so that it
        may stand in a `finally` of a cancelled task."""
        if self._streams.pop(request, None) is not None and not self.is_lost:
            abort = asyncio.create_task(self._abort(request))
            self._aborts.add(abort)
            abort.add_done_callback(self._aborts.discard)

    async def aclose(self) -> None:
        await self._socket.close()
        await asyncio.gather(self._reader, *self._aborts)

    async def _abort(self, request: str) -> None:
        try:
            await self._socket.send(AbortRequest(request=request).model_dump_json())
        except ConnectionClosed:
            logger.debug("stream %s ended with its connection", request)

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self._deal(StepFrame.model_validate_json(text))
        except ConnectionClosed as error:
            logger.warning("connection to the engine at %s lost: %s", self._url, error)
        except ValidationError:
            logger.exception("the engine at %s sent what is no frame", self._url)
            await self._socket.close()
        finally:
            streams, self._streams = self._streams, {}
            for queue in streams.values():
                queue.put_nowait(self._lost())

    def _deal(self, frame: StepFrame) -> None:
        for stream in frame.tokens:
            if queue := self._streams.get(stream.request):
                queue.put_nowait(stream)
        for finished in frame.finished:
            if queue := self._streams.pop(finished.request, None):
                queue.put_nowait(finished)

    def _lost(self) -> EngineUnavailable:
        return EngineUnavailable(f"the engine at {self._url} went away")
