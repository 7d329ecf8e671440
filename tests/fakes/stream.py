"""One stream of the fake engine."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.engine_protocol import (
    AddRequest,
    FinishedStream,
    FinishReason,
    StepFrame,
    StreamTokens,
    to_body,
)
from service.core.errors import ServiceError
from service.engine.interface import FrameSink


@dataclass
class FakeStream:
    request: AddRequest
    sink: FrameSink
    answer: Sequence[int] | None
    """None repeats the prompt until `max_tokens`."""
    given: int = 0

    def step(self) -> bool:
        """Send one token, or the end; whether the stream goes on."""
        if self.answer is not None and self.given == len(self.answer):
            return self.finish("stop")
        if self.given == self.request.sampling.max_tokens:
            return self.finish("length")
        source = self.request.tokens if self.answer is None else self.answer
        token = source[self.given % len(source)]
        self.given += 1
        tokens = StreamTokens(request=self.request.request, tokens=(token,))
        self.sink(StepFrame(tokens=(tokens,)))
        return True

    def finish(self, reason: FinishReason, error: ServiceError | None = None) -> bool:
        """Send the end; always False: the stream does not go on."""
        body = to_body(error) if error else None
        finished = FinishedStream(request=self.request.request, reason=reason, error=body)
        self.sink(StepFrame(finished=(finished,)))
        return False
