"""GenerationClient: all streams of an api process, over one connection per engine."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress

from websockets.exceptions import InvalidHandshake

from service.core.engine_client.connection import EngineConnection
from service.core.engine_protocol import (
    AddRequest,
    FinishedStream,
    ModelRef,
    Sampling,
    StreamTokens,
    to_error,
)
from service.core.errors import EngineUnavailable

logger = logging.getLogger(__name__)

StreamEvent = StreamTokens | FinishedStream


class GenerationClient:
    """Belongs to one event loop. Connects at the first stream and again after a loss."""

    def __init__(self, *, internal_token: str) -> None:
        self._token = internal_token
        self._connections: dict[str, EngineConnection] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def generate(
        self,
        engine_url: str,
        *,
        tenant: str,
        model: ModelRef,
        tokens: tuple[int, ...],
        sampling: Sampling,
    ) -> AsyncGenerator[StreamEvent, None]:
        """Yield `StreamTokens` as steps bring them and one `FinishedStream` as the last.

        Closing the generator early (`contextlib.aclosing`, cancellation) aborts the stream in the
        engine. Raises the engine's own error where the stream failed, and EngineUnavailable where
        the engine cannot be reached or is lost midway.
        """
        connection = await self._connection(engine_url)
        request = AddRequest(
            request=connection.new_request_id(),
            tenant=tenant,
            model=model,
            tokens=tokens,
            sampling=sampling,
        )
        events = await connection.add(request)
        try:
            while True:
                event = await events.get()
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, StreamTokens):
                    yield event
                    continue
                if event.error is not None:
                    raise to_error(event.error)
                yield event
                return
        finally:
            connection.leave(request.request)

    async def aclose(self) -> None:
        """Close every connection; open streams end with EngineUnavailable."""
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            await connection.aclose()

    async def _connection(self, url: str) -> EngineConnection:
        """The live connection to an engine; many first streams at once share one handshake."""
        async with self._locks.setdefault(url, asyncio.Lock()):
            connection = self._connections.get(url)
            if connection is None or connection.is_lost:
                connection = self._connections[url] = await self._connect(url)
            return connection

    async def _connect(self, url: str) -> EngineConnection:
        with suppress(KeyError):
            await self._connections.pop(url).aclose()
        try:
            return await EngineConnection.open(url, internal_token=self._token)
        except (OSError, TimeoutError, InvalidHandshake) as error:
            logger.warning("no connection to the engine at %s: %s", url, error)
            raise EngineUnavailable(f"the engine at {url} does not answer") from error
