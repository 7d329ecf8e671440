"""A streamed answer as server-sent events."""

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol

from service.api.chat.deltas import ChoiceDelta, FinishReason
from service.api.chat.planning import Plan
from service.api.chat.requests import CreateChatCompletion
from service.api.chat.schemas import (
    ChatCompletionChunk,
    ChunkChoice,
    Delta,
    FunctionDelta,
    Logprobs,
    ToolCallDelta,
    Usage,
)
from service.api.error_handlers import UNEXPECTED, error_json
from service.api.token_meter import END_OF_STREAM
from service.core.errors import ServiceError
from service.core.ids import new_completion_id
from service.core.text import CallDelta

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
        """Text, calls, and the end in chunks of their own, as clients know them."""
        self._tokens += delta.tokens
        grown = [Delta(content=delta.text)] if delta.text else []
        if delta.calls and self._request.answers_in_old_form:
            grown += [Delta(function_call=_function(call)) for call in delta.calls]
        elif delta.calls:
            grown.append(Delta(tool_calls=[self._call(call) for call in delta.calls]))
        choices = [ChunkChoice(index=delta.index, delta=growth) for growth in grown]
        if delta.finish_reason:
            reason = reason_in_form(delta.finish_reason, self._request)
            end = ChunkChoice(index=delta.index, delta=Delta(), finish_reason=reason)
            choices.append(end)
        if delta.scores and choices:
            scores = Logprobs.of(self._plan.codec, delta.scores)
            choices[0] = choices[0].model_copy(update={"logprobs": scores})
        return [self._event([choice]) for choice in choices]

    def _call(self, call: CallDelta) -> ToolCallDelta:
        if call.name is None:
            return ToolCallDelta(index=call.index, function=_function(call))
        return ToolCallDelta(
            index=call.index,
            id=self._plan.new_call_id(),
            type="function",
            function=_function(call),
        )

    def closing(self) -> list[str]:
        """Usage, if it was asked for, and the mark of a whole answer."""
        if not self._request.includes_usage:
            return [END_OF_STREAM]
        return [self._event([], self.usage()), END_OF_STREAM]

    def usage(self) -> Usage:
        """Up to this moment."""
        return Usage.of(prompt=self._plan.prompt_tokens, completion=self._tokens)

    def _event(self, choices: list[ChunkChoice], usage: Usage | None = None) -> str:
        chunk = ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._plan.target.name,
            system_fingerprint=self._plan.fingerprint,
            choices=choices,
            usage=usage,
        )
        return chunk.to_event(with_usage=self._request.includes_usage)


def _function(call: CallDelta) -> FunctionDelta:
    named = FunctionDelta() if call.name is None else FunctionDelta(name=call.name)
    return {**named, "arguments": call.arguments}


def reason_in_form(reason: FinishReason, request: CreateChatCompletion) -> FinishReason:
    """As the caller knows it, who may have asked in the old form."""
    is_old = reason == "tool_calls" and request.answers_in_old_form
    return "function_call" if is_old else reason


class EventMaker(Protocol):
    """Makes the events of one streamed answer."""

    def opening(self) -> list[str]:
        """Before everything else."""

    def of_delta(self, delta: ChoiceDelta) -> list[str]:
        """Of what a choice has grown by."""

    def closing(self) -> list[str]:
        """The end of a whole answer."""


async def told_as_events(
    chunks: EventMaker, first: ChoiceDelta, deltas: AsyncGenerator[ChoiceDelta, None]
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
