"""Completions: planned in a thread, answered whole or piece by piece."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from anyio.to_thread import run_sync

from service.api.chat.deltas import ChoiceDelta, all_deltas
from service.api.chat.events import told_as_events
from service.api.chat.planning import Plan
from service.api.chat.schemas import Usage
from service.api.completions.planning import CompletionPlanner
from service.api.completions.requests import CreateCompletion
from service.api.completions.schemas import Completion, CompletionChoice
from service.api.completions.texts import GrowingText
from service.api.token_meter import END_OF_STREAM, TokenMeter
from service.core.domain.access import Principal
from service.core.engine_client import GenerationClient
from service.core.ids import new_text_completion_id


class CompletionService:
    """Continues texts."""

    def __init__(
        self, planner: CompletionPlanner, generation: GenerationClient, meter: TokenMeter
    ) -> None:
        self._planner = planner
        self._generation = generation
        self._meter = meter

    async def complete(self, principal: Principal, request: CreateCompletion) -> Completion:
        """The whole answer. Raises what `CompletionPlanner.plan` and the engine raise."""
        plan = await run_sync(self._planner.plan, principal, request)
        grown = [_whole(index) for index in range(len(plan.samplings))]
        tokens = 0
        async with aclosing(all_deltas(self._generation, plan)) as deltas:
            async for delta in deltas:
                grown[delta.index] = _joined(grown[delta.index], delta)
                tokens += delta.tokens
        texts = [GrowingText(plan, request, index) for index in range(len(grown))]
        choices = [text.grow(delta) for text, delta in zip(texts, grown, strict=True)]
        usage = Usage.of(prompt=plan.prompt_tokens, completion=tokens)
        await self._meter.count(principal, usage.total_tokens)
        return _Answer(plan).of([choice for choice in choices if choice is not None], usage)

    async def stream(
        self, principal: Principal, request: CreateCompletion
    ) -> AsyncGenerator[str, None]:
        """Server-sent events. Returns once there is a first piece, so that a request which fails
        before it gets a proper status; raises as `complete` does."""
        plan = await run_sync(self._planner.plan, principal, request)
        deltas = all_deltas(self._generation, plan)
        try:
            first = await anext(deltas)
        except BaseException:
            await deltas.aclose()
            raise
        pieces = _Pieces(plan, request)
        events = told_as_events(pieces, first, deltas)
        return self._meter.watch(principal, events, lambda: pieces.usage().total_tokens)


class _Answer:
    """What all pieces of an answer have in common."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._id = new_text_completion_id()
        self._created = int(time.time())

    def of(self, choices: list[CompletionChoice], usage: Usage | None = None) -> Completion:
        return Completion(
            id=self._id,
            created=self._created,
            model=self._plan.target.name,
            choices=choices,
            usage=usage,
            system_fingerprint=self._plan.fingerprint,
        )


class _Pieces:
    """Makes the events of one streamed answer."""

    def __init__(self, plan: Plan, request: CreateCompletion) -> None:
        self._answer = _Answer(plan)
        self._texts = [GrowingText(plan, request, index) for index in range(len(plan.samplings))]
        self._prompt_tokens = plan.prompt_tokens
        self._with_usage = request.includes_usage
        self._tokens = 0

    def opening(self) -> list[str]:
        return []

    def of_delta(self, delta: ChoiceDelta) -> list[str]:
        self._tokens += delta.tokens
        choice = self._texts[delta.index].grow(delta)
        if choice is None:
            return []
        return [self._answer.of([choice]).to_event(with_usage=self._with_usage)]

    def closing(self) -> list[str]:
        if not self._with_usage:
            return [END_OF_STREAM]
        return [self._answer.of([], self.usage()).to_event(with_usage=True), END_OF_STREAM]

    def usage(self) -> Usage:
        """Up to this moment."""
        return Usage.of(prompt=self._prompt_tokens, completion=self._tokens)


def _whole(index: int) -> ChoiceDelta:
    return ChoiceDelta(index, "", 0)


def _joined(one: ChoiceDelta, next: ChoiceDelta) -> ChoiceDelta:
    return ChoiceDelta(
        one.index,
        one.text + next.text,
        one.tokens + next.tokens,
        next.finish_reason,
        scores=(*one.scores, *next.scores),
        prompt_scores=(*one.prompt_scores, *next.prompt_scores),
    )
