"""What is noted of every answered chat completion: its tokens, and the whole of it if asked."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from anyio.to_thread import run_sync
from pydantic import BaseModel

from service.api.error_handlers import error_json
from service.api.stored_completions.assembly import Assembly, is_end
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.errors import ServiceError
from service.core.rate_limits import RateLimits
from service.core.repositories.stored_completions import StoredCompletionRepository


class StorableRequest(Protocol):
    """What recording reads of a request."""

    @property
    def messages(self) -> Sequence[BaseModel]: ...
    @property
    def store(self) -> bool | None: ...
    @property
    def metadata(self) -> dict[str, str] | None: ...


class UsageLike(Protocol):
    """Tokens of an answer."""

    @property
    def total_tokens(self) -> int: ...
    def model_dump(self) -> dict[str, Any]: ...


class AnswerRecorder:
    """Notes answers."""

    def __init__(self, database: Database, rate_limits: RateLimits) -> None:
        self._database = database
        self._rate_limits = rate_limits

    async def record(
        self,
        principal: Principal,
        request: StorableRequest,
        answer: BaseModel,
        usage: UsageLike,
    ) -> None:
        """Note a whole answer. Raises DatabaseUnavailable if it was to be stored and cannot be."""
        await run_sync(self._spend, principal, usage)
        if request.store:
            await run_sync(self._store, principal, request, answer.model_dump(mode="json"))

    async def watch(
        self,
        principal: Principal,
        request: StorableRequest,
        events: AsyncGenerator[str, None],
        usage: Callable[[], UsageLike],
    ) -> AsyncGenerator[str, None]:
        """The events of a streamed answer, noted before its end is told. An answer that breaks off
        is counted, and not stored."""
        assembly = Assembly() if request.store else None
        ended = False
        try:
            async with aclosing(events):
                async for event in events:
                    if is_end(event):
                        ended = True
                        await self._note_end(principal, request, assembly, usage())
                    elif assembly is not None:
                        assembly.add(event)
                    yield event
        except ServiceError as error:  # it could not be stored
            yield f"data: {error_json(error)}\n\n"
        finally:
            if not ended:  # the caller may have left, and nothing can be awaited then
                loop = asyncio.get_running_loop()
                loop.run_in_executor(None, self._spend, principal, usage())

    async def _note_end(
        self,
        principal: Principal,
        request: StorableRequest,
        assembly: Assembly | None,
        usage: UsageLike,
    ) -> None:
        await run_sync(self._spend, principal, usage)
        if assembly is not None:
            answer = assembly.to_answer(usage.model_dump())
            await run_sync(self._store, principal, request, answer)

    def _spend(self, principal: Principal, usage: UsageLike) -> None:
        self._rate_limits.spend(principal.scope.project_id, usage.total_tokens)

    def _store(
        self, principal: Principal, request: StorableRequest, answer: dict[str, Any]
    ) -> None:
        messages = [m.model_dump(mode="json", exclude_none=True) for m in request.messages]
        with self._database.transaction() as connection:
            StoredCompletionRepository(connection, principal.scope).add(
                answer["id"],
                model=answer["model"],
                messages=messages,
                answer=answer,
                metadata=request.metadata,
            )
