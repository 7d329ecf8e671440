"""What is noted of every answered chat completion: its tokens, and the whole of it if asked."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from anyio.to_thread import run_sync
from pydantic import BaseModel

from service.api.error_handlers import error_json
from service.api.stored_completions.assembly import Assembly
from service.api.token_meter import END_OF_STREAM, TokenMeter
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.errors import ServiceError
from service.core.repositories.audit import record
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

    def __init__(self, database: Database, meter: TokenMeter) -> None:
        self._database = database
        self._meter = meter

    async def record(
        self,
        principal: Principal,
        request: StorableRequest,
        answer: BaseModel,
        usage: UsageLike,
    ) -> None:
        """Note a whole answer. Raises DatabaseUnavailable if it was to be stored and cannot be."""
        await self._meter.count(principal, usage.total_tokens)
        if request.store:
            await run_sync(self._store, principal, request, answer.model_dump(mode="json"))

    def watch(
        self,
        principal: Principal,
        request: StorableRequest,
        events: AsyncGenerator[str, None],
        usage: Callable[[], UsageLike],
    ) -> AsyncGenerator[str, None]:
        """The events of a streamed answer, noted before its end is told. An answer that breaks off
        is counted, and not stored."""
        if request.store:
            events = self._stored(principal, request, events, usage)
        return self._meter.watch(principal, events, lambda: usage().total_tokens)

    async def _stored(
        self,
        principal: Principal,
        request: StorableRequest,
        events: AsyncGenerator[str, None],
        usage: Callable[[], UsageLike],
    ) -> AsyncGenerator[str, None]:
        assembly = Assembly()
        async with aclosing(events):
            async for event in events:
                if event != END_OF_STREAM:
                    assembly.add(event)
                    yield event
                    continue
                try:
                    answer = assembly.to_answer(usage().model_dump())
                    await run_sync(self._store, principal, request, answer)
                    yield event
                except ServiceError as error:
                    yield f"data: {error_json(error)}\n\n"

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
            record(connection, principal, "chat.completion.stored", answer["id"])
