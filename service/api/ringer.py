"""Rings the doorbell off the request path."""

import asyncio
import logging

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from service.core.errors import DatabaseUnavailable
from service.core.queue import Doorbell

logger = logging.getLogger(__name__)


class Ringer:
    """One ring at a time, in a thread of its own: wishes that come meanwhile become one more ring,
    and a Redis that hangs holds up nobody. Made in the event loop that runs it."""

    def __init__(self, doorbell: Doorbell) -> None:
        self._doorbell = doorbell
        self._loop = asyncio.get_running_loop()
        self._wanted = asyncio.Event()
        self._thread = CapacityLimiter(1)

    def wish(self) -> None:
        """Ask for a ring, without waiting for it. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._wanted.set)

    async def run(self) -> None:
        """Ring until cancelled. A wish that is lost then costs time only: the reconciler rings."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await run_sync(self._ring, limiter=self._thread, abandon_on_cancel=True)

    def _ring(self) -> None:
        try:
            self._doorbell.try_ring_due()
        except DatabaseUnavailable:
            logger.warning("no ring: the database does not answer")
