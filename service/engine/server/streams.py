"""`WS /generate`: requests in, the step loop's frames out."""

import asyncio
import contextlib

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from service.core.engine_protocol import (
    AbortRequest,
    AddRequest,
    ClientFrame,
    FinishedStream,
    StepFrame,
    to_body,
)
from service.core.errors import ServiceError
from service.engine.interface import EngineCore
from service.engine.server.outbox import FrameOutbox, SlowConsumer
from service.engine.server.sessions import CoreDep

_frames: TypeAdapter[AddRequest | AbortRequest] = TypeAdapter(ClientFrame)

_INVALID_FRAME = 1007
_POLICY_VIOLATION = 1008
_TRY_AGAIN_LATER = 1013
_FAREWELL_SECONDS = 1.0

router = APIRouter()


@router.websocket("/generate")
async def generate(websocket: WebSocket, core: CoreDep) -> None:
    """Serve one api process until either side leaves; its streams end with it."""
    await websocket.accept()
    connection = _Connection(websocket, core)
    tasks = {asyncio.create_task(connection.read()), asyncio.create_task(connection.write())}
    try:
        await asyncio.wait({*tasks, connection.overflow}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await connection.abort_all()
    if connection.overflow.done():
        await connection.close_unread()


class _Connection:
    """The streams of one client. Lives on the event loop; only `sink` is called from outside."""

    def __init__(self, websocket: WebSocket, core: EngineCore) -> None:
        self._websocket = websocket
        self._core = core
        self._open: set[str] = set()
        self._outbox = FrameOutbox()
        self._loop = asyncio.get_running_loop()
        self.overflow: asyncio.Future[None] = self._loop.create_future()
        """Done once the client has left more unread than the outbox holds."""
        # One object for the connection's life: the step loop groups streams by their sink.
        self._sink = self._receive_from_engine

    def _receive_from_engine(self, frame: StepFrame) -> None:
        # A frame that comes after the server's loop has ended has no reader left.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._enqueue, frame)

    def _enqueue(self, frame: StepFrame) -> None:
        self._open.difference_update(stream.request for stream in frame.finished)
        try:
            self._outbox.put(frame)
        except SlowConsumer:
            if not self.overflow.done():
                self.overflow.set_result(None)

    async def read(self) -> None:
        """Take frames until the client leaves or sends what is none."""
        try:
            while True:
                await self._handle(_frames.validate_json(await self._websocket.receive_text()))
        except WebSocketDisconnect:
            return
        except (ValidationError, KeyError):
            await self._websocket.close(_INVALID_FRAME, "not a frame of this protocol")

    async def _handle(self, frame: AddRequest | AbortRequest) -> None:
        if isinstance(frame, AbortRequest):
            await run_in_threadpool(self._core.abort_request, frame.request, self._sink)
        elif frame.request in self._open:
            await self._websocket.close(_POLICY_VIOLATION, "request id is in use")
        else:
            await self._add(frame)

    async def _add(self, request: AddRequest) -> None:
        self._open.add(request.request)
        try:
            await run_in_threadpool(self._core.add_request, request, self._sink)
        except ServiceError as error:
            failed = FinishedStream(request=request.request, reason="error", error=to_body(error))
            self._enqueue(StepFrame(finished=(failed,)))

    async def write(self) -> None:
        """Send what has gathered, as one frame; a slow client gets fewer and larger ones."""
        try:
            while True:
                frame = await self._outbox.take()
                await self._websocket.send_text(frame.model_dump_json(exclude_defaults=True))
        except WebSocketDisconnect:
            return

    async def abort_all(self) -> None:
        """Free what the engine still computes for a client that is gone."""
        for request in tuple(self._open):
            await run_in_threadpool(self._core.abort_request, request, self._sink)

    async def close_unread(self) -> None:
        """Say why, unless the client reads not even that."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await self._websocket.close(_TRY_AGAIN_LATER, "the client reads too slowly")
