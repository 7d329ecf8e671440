"""Chat completions: planned in a thread, answered whole or piece by piece."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from anyio.to_thread import run_sync

from service.api.chat.deltas import ChoiceDelta, FinishReason, all_deltas
from service.api.chat.events import ChunkMaker, reason_in_form, told_as_events
from service.api.chat.planning import Plan, Planner
from service.api.chat.requests import CreateChatCompletion
from service.api.chat.schemas import (
    AnswerMessage,
    CalledFunction,
    ChatCompletion,
    Choice,
    Logprobs,
    ToolCall,
    Usage,
)
from service.api.chat.scores import ScoredToken
from service.api.stored_completions.recording import AnswerRecorder
from service.core.domain.access import Principal
from service.core.engine_client import GenerationClient
from service.core.ids import new_completion_id


class ChatService:
    """Answers conversations."""

    def __init__(
        self, planner: Planner, generation: GenerationClient, recorder: AnswerRecorder
    ) -> None:
        self._planner = planner
        self._generation = generation
        self._recorder = recorder

    async def complete(self, principal: Principal, request: CreateChatCompletion) -> ChatCompletion:
        """The whole answer. Raises what `Planner.plan` and the engine raise."""
        plan = await run_sync(self._planner.plan, principal, request)
        answers = [_Answer(plan, request) for _ in plan.samplings]
        async with aclosing(all_deltas(self._generation, plan)) as deltas:
            async for delta in deltas:
                answers[delta.index].grow(delta)
        completion = ChatCompletion(
            id=new_completion_id(),
            created=int(time.time()),
            model=plan.target.name,
            choices=[answer.to_choice(index) for index, answer in enumerate(answers)],
            usage=Usage.of(
                prompt=plan.prompt_tokens, completion=sum(answer.tokens for answer in answers)
            ),
            system_fingerprint=plan.fingerprint,
        )
        await self._recorder.record(principal, request, completion, completion.usage)
        return completion

    async def stream(
        self, principal: Principal, request: CreateChatCompletion
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
        chunks = ChunkMaker(plan, request)
        events = told_as_events(chunks, first, deltas)
        return self._recorder.watch(principal, request, events, chunks.usage)


@dataclass
class _Answer:
    """One choice while it grows."""

    plan: Plan
    request: CreateChatCompletion
    pieces: list[str] = field(default_factory=list)
    calls: list[CalledFunction] = field(default_factory=list)
    scores: list[ScoredToken] = field(default_factory=list)
    tokens: int = 0
    finish_reason: FinishReason = "stop"

    def grow(self, delta: ChoiceDelta) -> None:
        self.pieces.append(delta.text)
        self.scores += delta.scores
        self.tokens += delta.tokens
        self.finish_reason = delta.finish_reason or self.finish_reason
        for call in delta.calls:
            if call.name is not None:
                self.calls.append(CalledFunction(name=call.name, arguments=call.arguments))
            else:
                begun = self.calls[call.index]
                whole = begun.arguments + call.arguments
                self.calls[call.index] = CalledFunction(name=begun.name, arguments=whole)

    def to_choice(self, index: int) -> Choice:
        text = "".join(self.pieces)
        reports = self.plan.samplings[index].top_logprobs is not None
        return Choice(
            index=index,
            message=self._message(None if self.calls and not text else text),
            logprobs=Logprobs.of(self.plan.codec, self.scores) if reports else None,
            finish_reason=reason_in_form(self.finish_reason, self.request),
        )

    def _message(self, content: str | None) -> AnswerMessage:
        if self.request.answers_in_old_form:
            called = self.calls[0] if self.calls else None
            return AnswerMessage(content=content, function_call=called)
        calls = [ToolCall(id=self.plan.new_call_id(), function=call) for call in self.calls]
        return AnswerMessage(content=content, tool_calls=calls or None)
