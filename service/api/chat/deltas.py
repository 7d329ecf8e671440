"""The engine's tokens as text: all choices of a request, as they come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from service.api.chat.planning import Plan
from service.core.engine_client import GenerationClient
from service.core.engine_protocol import FinishedStream, Sampling
from service.core.errors import EngineUnavailable

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class ChoiceDelta:
    """What one choice has grown by."""

    index: int
    text: str
    tokens: int
    """Generated since the last delta; some may not be text yet."""
    finish_reason: FinishReason | None = None
    """Set in the last delta of the choice."""


async def choice_deltas(
    client: GenerationClient, plan: Plan, index: int, sampling: Sampling
) -> AsyncGenerator[ChoiceDelta, None]:
    """One choice. Meeting a stop string, or closing the generator, aborts the engine's stream.

    Raises what the engine raises, and EngineUnavailable when it goes away.
    """
    text = plan.codec.new_stream(stop=plan.stop)
    tokens = 0
    events = client.generate(
        plan.engine_url,
        tenant=plan.tenant,
        model=plan.model,
        tokens=plan.prompt,
        sampling=sampling,
    )
    async with aclosing(events):
        async for event in events:
            if isinstance(event, FinishedStream):
                rest = text.finish()
                reason = "stop" if text.stopped else _reason(event)
                yield ChoiceDelta(index, rest, tokens, reason)
                return
            tokens += len(event.tokens)
            piece = "".join(map(text.push, event.tokens))
            if text.stopped:
                yield ChoiceDelta(index, piece, tokens, "stop")
                return
            if piece:
                yield ChoiceDelta(index, piece, tokens)
                tokens = 0


def _reason(event: FinishedStream) -> FinishReason:
    if event.reason in ("stop", "length"):
        return event.reason
    raise EngineUnavailable(f"the engine ended a stream by itself: {event.reason}")


async def all_deltas(client: GenerationClient, plan: Plan) -> AsyncGenerator[ChoiceDelta, None]:
    """All choices, interleaved as they come. The first failure ends them all."""
    sources = [
        choice_deltas(client, plan, index, sampling)
        for index, sampling in enumerate(plan.samplings)
    ]
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
