"""The engine's tokens as text: all choices of a request, as they come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from service.api.chat.planning import Plan
from service.api.chat.scores import ScoredToken, ScoreKeeper
from service.core.engine_client import GenerationClient
from service.core.engine_protocol import FinishedStream, StreamTokens, TokenLogprob
from service.core.errors import EngineUnavailable
from service.core.text import CallDelta, Found

FinishReason = Literal["stop", "length", "tool_calls", "function_call"]


@dataclass(frozen=True)
class ChoiceDelta:
    """What one choice has grown by."""

    index: int
    text: str
    tokens: int
    """Generated since the last delta; some may not be text yet."""
    finish_reason: FinishReason | None = None
    """Set in the last delta of the choice."""
    calls: tuple[CallDelta, ...] = ()
    scores: tuple[ScoredToken, ...] = ()
    """Of the tokens in `text` and `calls`, if they were asked for."""
    prompt_scores: tuple[TokenLogprob, ...] = ()
    """Of the prompt's next tokens, from its second on."""


class ChoiceReader:
    """One choice's tokens as text, calls and scores. What is not certain yet waits."""

    def __init__(self, plan: Plan, index: int) -> None:
        form = plan.tools.form if plan.tools else None
        marks = (form.opening, form.closing) if form else ()
        control = {plan.codec.control_token(mark): mark for mark in marks if mark}
        visible = {token: mark for token, mark in control.items() if token is not None}
        self._index = index
        self._stream = plan.codec.new_stream(stop=plan.stop, visible=visible)
        self._parser = plan.tools.new_parser() if plan.tools else None
        self._tokens = 0
        self._scores = ScoreKeeper(plan.codec.token_bytes)
        self._prompt_scores: list[TokenLogprob] = []

    def take(self, event: StreamTokens) -> ChoiceDelta | None:
        """What is certain now; the last delta of the choice where it meets its end itself."""
        self._tokens += len(event.tokens)
        self._prompt_scores += event.prompt_logprobs
        text = "".join(map(self._stream.push, event.tokens))
        self._scores.add(event.tokens, event.logprobs, text)
        found = Found(text) if self._parser is None else self._parser.push(text)
        if self._stream.stopped:
            return self._last(found, "stop")
        if self._parser is not None and self._parser.is_complete:
            return self._last(found, "stop")
        if found.text or found.calls:
            return self._delta(found)
        return None

    def end(self, reason: FinishReason) -> ChoiceDelta:
        """The engine has ended the stream: everything still held back, which may hold a stop
        string."""
        text = self._stream.finish()
        self._scores.add((), (), text)
        found = Found(text) if self._parser is None else self._parser.push(text)
        return self._last(found, "stop" if self._stream.stopped else reason)

    def _last(self, found: Found, reason: FinishReason) -> ChoiceDelta:
        if self._parser is not None:
            rest = self._parser.finish()
            found = Found(found.text + rest.text, found.calls)
            if reason == "stop" and self._parser.calls:
                reason = "tool_calls"
        return self._delta(found, reason)

    def _delta(self, found: Found, reason: FinishReason | None = None) -> ChoiceDelta:
        is_whole = reason is not None and not self._stream.stopped
        scores = self._scores.take_all() if is_whole else self._scores.take_covered()
        delta = ChoiceDelta(
            self._index,
            found.text,
            self._tokens,
            reason,
            tuple(found.calls),
            scores,
            tuple(self._prompt_scores),
        )
        self._tokens, self._prompt_scores = 0, []
        return delta


async def choice_deltas(
    client: GenerationClient, plan: Plan, index: int
) -> AsyncGenerator[ChoiceDelta, None]:
    """One choice. Meeting a stop string, or closing the generator, aborts the engine's stream.

    Raises what the engine raises, and EngineUnavailable when it goes away.
    """
    reader = ChoiceReader(plan, index)
    events = client.generate(
        plan.target.engine_url,
        tenant=plan.target.tenant,
        model=plan.target.model,
        tokens=plan.prompt_of(index),
        sampling=plan.samplings[index],
    )
    async with aclosing(events):
        async for event in events:
            if isinstance(event, FinishedStream):
                yield reader.end(_reason(event))
                return
            delta = reader.take(event)
            if delta is not None:
                yield delta
                if delta.finish_reason:
                    return


def _reason(event: FinishedStream) -> FinishReason:
    if event.reason in ("stop", "length"):
        return event.reason
    raise EngineUnavailable(f"the engine ended a stream by itself: {event.reason}")


async def all_deltas(client: GenerationClient, plan: Plan) -> AsyncGenerator[ChoiceDelta, None]:
    """All choices, interleaved as they come. The first failure ends them all."""
    sources = [choice_deltas(client, plan, index) for index in range(len(plan.samplings))]
    async with aclosing(_merge(sources)) as deltas:
        async for delta in deltas:
            yield delta


async def _merge(
    sources: Sequence[AsyncGenerator[ChoiceDelta, None]],
) -> AsyncGenerator[ChoiceDelta, None]:
    queue: asyncio.Queue[ChoiceDelta | Exception] = asyncio.Queue()
    tasks = [asyncio.create_task(_pour(source, queue)) for source in sources]
    unfinished = len(sources)
    try:
        while unfinished:
            delta = await queue.get()
            if isinstance(delta, Exception):
                raise delta
            unfinished -= delta.finish_reason is not None
            yield delta
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pour(
    source: AsyncGenerator[ChoiceDelta, None], queue: asyncio.Queue[ChoiceDelta | Exception]
) -> None:
    async with aclosing(source):
        try:
            async for delta in source:
                queue.put_nowait(delta)
        except Exception as error:
            queue.put_nowait(error)
