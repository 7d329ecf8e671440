"""Tokens of answers, counted against the limits of their project."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from anyio.to_thread import run_sync

from service.core.domain.access import Principal
from service.core.rate_limits import RateLimits

END_OF_STREAM = "data: [DONE]\n\n"
"""The last event of a whole answer."""


class TokenMeter:
    """Counts what is answered, whole or streamed."""

    def __init__(self, rate_limits: RateLimits) -> None:
        self._rate_limits = rate_limits

    async def count(self, principal: Principal, tokens: int) -> None:
        await run_sync(self._spend, principal, tokens)

    async def watch(
        self, principal: Principal, events: AsyncGenerator[str, None], tokens: Callable[[], int]
    ) -> AsyncGenerator[str, None]:
        """The events of a streamed answer, counted before its end is told. One that breaks off is
        counted too, with the `tokens` up to then."""
        ended = False
        try:
            async with aclosing(events):
                async for event in events:
                    if event == END_OF_STREAM:
                        ended = True
                        await self.count(principal, tokens())
                    yield event
        finally:
            if not ended:  # the caller may have left, and nothing can be awaited then
                loop = asyncio.get_running_loop()
                loop.run_in_executor(None, self._spend, principal, tokens())

    def _spend(self, principal: Principal, tokens: int) -> None:
        self._rate_limits.spend(principal.scope.project_id, tokens, principal.limits)
