"""A `sample` command under way: answers drawn beside everybody's streams, with weights in training.

The streams are ordinary ones with an adapter of their own, so sampling is batched with serving and
with other sessions' sampling, and numbers agree with what the model would be served with.
"""

import time
from collections import deque
from dataclasses import dataclass, field

from service.core.engine_protocol import (
    AddRequest,
    FinishReason,
    ModelRef,
    Sample,
    SampledAnswer,
    SampleDone,
    SamplePrompt,
    StepFrame,
    to_error,
)
from service.core.errors import ServiceError
from service.engine.generation.resident_adapters import ServedModel
from service.engine.generation.streams import BaseStreams
from service.engine.training.random_keys import key_number
from service.engine.training.session import Session

_TENANT = "training"


@dataclass
class _Answer:
    prompt: SamplePrompt
    index: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    reason: FinishReason | None = None

    def to_message(self) -> SampledAnswer:
        assert self.reason is not None
        return SampledAnswer(
            line=self.prompt.line,
            index=self.index,
            tokens=tuple(self.tokens),
            logprobs=tuple(self.logprobs),
            reason=self.reason,
        )


class SampleRun:
    """Used by the step loop alone."""

    def __init__(
        self,
        session: Session,
        command: Sample,
        model: ServedModel,
        streams: BaseStreams,
        *,
        places: int,
    ) -> None:
        """`places`: streams that sampling may have open at once, over all sessions; the rest stay
        free for whoever chats."""
        self._session = session
        self._command = command
        self._model = model
        self._streams = streams
        self._places = places
        self._answers = {
            f"{session.id}-{command.seq}-{prompt_at}-{index}": _Answer(prompt, index)
            for prompt_at, prompt in enumerate(command.prompts)
            for index in range(command.n)
        }
        self._waiting = deque(self._answers)
        self._open: set[str] = set()
        self._error: ServiceError | None = None
        self._started = time.monotonic()
        # One object for all streams: the engine groups frames by sink.
        self._sink = self._receive

    @property
    def is_done(self) -> bool:
        return not self._waiting and not self._open

    def feed(self) -> None:
        """Open streams while there are places."""
        while self._waiting and self._streams.drawn < self._places:
            request = self._waiting.popleft()
            self._open.add(request)
            self._streams.add_drawn(self._request(request), self._sink, self._model)

    def abort(self) -> None:
        """End what is open; nobody wants it any more."""
        self._waiting.clear()
        for request in tuple(self._open):
            self._streams.abort(request, self._sink)

    def result(self) -> SampleDone:
        """Once it is done. Raises what ended a stream with an error."""
        if self._error is not None:
            raise self._error
        return SampleDone(
            seq=self._command.seq,
            answers=tuple(answer.to_message() for answer in self._answers.values()),
            seconds=time.monotonic() - self._started,
        )

    def _request(self, request: str) -> AddRequest:
        answer = self._answers[request]
        seed = key_number(
            self._session.request.seed,
            step=self._command.step,
            purpose="sample",
            line=answer.prompt.line,
            index=answer.index,
        )
        changes = {"seed": seed, "top_logprobs": 0, "prompt_logprobs": False}
        return AddRequest(
            request=request,
            tenant=_TENANT,
            model=ModelRef(base=self._session.base.name),
            tokens=answer.prompt.tokens,
            sampling=self._command.sampling.model_copy(update=changes),
        )

    def _receive(self, frame: StepFrame) -> None:
        for growth in frame.tokens:
            answer = self._answers[growth.request]
            answer.tokens += growth.tokens
            answer.logprobs += [entry.logprob for entry in growth.logprobs]
        for finished in frame.finished:
            self._open.discard(finished.request)
            self._answers[finished.request].reason = finished.reason
            if finished.error is not None and self._error is None:
                self._error = to_error(finished.error)
                self.abort()
