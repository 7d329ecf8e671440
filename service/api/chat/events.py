"""A streamed answer as server-sent events."""

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from service.api.chat.deltas import ChoiceDelta
from service.api.chat.planning import Plan
from service.api.chat.requests import CreateChatCompletion
from service.api.chat.schemas import ChatCompletionChunk, ChunkChoice, Delta, Usage
from service.api.error_handlers import UNEXPECTED, error_json
from service.core.errors import ServiceError
from service.core.ids import new_completion_id

logger = logging.getLogger(__name__)


class ChunkMaker:
    """Makes the chunks of one streamed answer."""

    def __init__(self, plan: Plan, request: CreateChatCompletion) -> None:
        self._plan = plan
        self._request = request
        self._id = new_completion_id()
        self._created = int(time.time())
        self._tokens = 0

    def opening(self) -> list[str]:
        """The role of every choice."""
        role = Delta(role="assistant", content="", refusal=None)
        return [
            self._event([ChunkChoice(index=index, delta=role)])
            for index in range(len(self._plan.samplings))
        ]

    def of_delta(self, delta: ChoiceDelta) -> list[str]:
        """The text, and the end in a chunk of its own, as clients know it."""
        self._tokens += delta.tokens
        choices = []
        if delta.text:
            choices.append(ChunkChoice(index=delta.index, delta=Delta(content=delta.text)))
        if delta.finish_reason:
            end = ChunkChoice(index=delta.index, delta=Delta(), finish_reason=delta.finish_reason)
            choices.append(end)
        return [self._event([choice]) for choice in choices]

    def closing(self) -> list[str]:
        """Usage, if it was asked for, and the mark of a whole answer."""
        done = "data: [DONE]\n\n"
        if not self._request.includes_usage:
            return [done]
        return [self._event([], self.usage()), done]

    def usage(self) -> Usage:
        """Up to this moment."""
        return Usage.of(prompt=len(self._plan.prompt), completion=self._tokens)

    def _event(self, choices: list[ChunkChoice], usage: Usage | None = None) -> str:
        chunk = ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._request.model,
            system_fingerprint=self._plan.fingerprint,
            choices=choices,
            usage=usage,
        )
        return chunk.to_event(with_usage=self._request.includes_usage)


async def answer_events(
    chunks: ChunkMaker, first: ChoiceDelta, deltas: AsyncGenerator[ChoiceDelta, None]
) -> AsyncGenerator[str, None]:
    """A failure in the middle is told as an event, and the stream ends without `[DONE]`."""
    async with aclosing(deltas):
        try:
            for event in (*chunks.opening(), *chunks.of_delta(first)):
                yield event
            async for delta in deltas:
                for event in chunks.of_delta(delta):
                    yield event
        except ServiceError as error:
            logger.warning("a stream broke off: %s", error)
            yield f"data: {error_json(error)}\n\n"
        except Exception:
            logger.exception("a stream broke off")
            yield f"data: {error_json(UNEXPECTED)}\n\n"
        else:
            for event in chunks.closing():
                yield event
