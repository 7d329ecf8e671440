"""Streams of an engine in this process."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from service.core.engine_protocol import (
    AddRequest,
    DeltaRef,
    FinishedStream,
    ModelRef,
    Sampling,
    StepFrame,
    TokenLogprob,
)
from service.engine.interface import EngineCore
from tests.service.engine.real_engine import BASE


@dataclass
class Answer:
    """One stream's tokens and its end."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    finished: FinishedStream | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def error_code(self) -> str | None:
        assert self.finished is not None
        return self.finished.error.code if self.finished.error else None


class Connection:
    """Collects the frames of the streams it starts."""

    def __init__(self, engine: EngineCore) -> None:
        self.frames: list[StepFrame] = []
        self.answers: dict[str, Answer] = {}
        self._engine = engine
        # One object for all streams: the engine groups frames by sink.
        self._sink = self._receive

    def start(
        self,
        request: str,
        prompt: Sequence[int],
        *,
        adapter: DeltaRef | None = None,
        base: str = BASE,
        max_tokens: int = 8,
        temperature: float = 0,
        top_p: float = 1,
        seed: int = 0,
        stop: tuple[int, ...] = (),
        **options: Any,
    ) -> Answer:
        self.answers[request] = Answer()
        self._engine.add_request(
            AddRequest(
                request=request,
                tenant="proj_test",
                model=ModelRef(base=base, delta=adapter),
                tokens=tuple(prompt),
                sampling=Sampling(
                    max_tokens=max_tokens,
                    temperature=temperature,
                    top_p=top_p,
                    seed=seed,
                    stop_token_ids=stop,
                    **options,
                ),
            ),
            self._sink,
        )
        return self.answers[request]

    def abort(self, request: str) -> None:
        self._engine.abort_request(request, self._sink)

    def wait(self, answer: Answer) -> Answer:
        assert answer.done.wait(60), "the stream did not end"
        return answer

    def wait_all(self) -> list[Answer]:
        return [self.wait(answer) for answer in self.answers.values()]

    def _receive(self, frame: StepFrame) -> None:
        self.frames.append(frame)
        for stream in frame.tokens:
            self.answers[stream.request].tokens += stream.tokens
            self.answers[stream.request].logprobs += stream.logprobs
            self.answers[stream.request].prompt_logprobs += stream.prompt_logprobs
        for finished in frame.finished:
            self.answers[finished.request].finished = finished
            self.answers[finished.request].done.set()
