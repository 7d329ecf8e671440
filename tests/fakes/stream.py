"""One stream of the fake engine."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from service.core.engine_protocol import (
    AddRequest,
    FinishedStream,
    FinishReason,
    StepFrame,
    StreamTokens,
    TokenLogprob,
    to_body,
)
from service.core.errors import InvalidRequest, ServiceError
from service.engine.interface import FrameSink

FORCING_BIAS = 100


@dataclass
class FakeStream:
    request: AddRequest
    sink: FrameSink
    answer: Sequence[int] | None
    """None repeats the prompt until `max_tokens`."""
    given: int = 0

    def step(self) -> bool:
        """Send one token, or the end; whether the stream goes on."""
        sampling = self.request.sampling
        if self.given == 0 and sampling.prompt_logprobs:
            scores = [_score(token, at) for at, token in enumerate(self.request.tokens)][1:]
            self._send(StreamTokens(request=self.request.request, prompt_logprobs=tuple(scores)))
        if self.answer is not None and self.given >= len(self.answer) and sampling.stop_token_ids:
            return self.finish("stop")
        if self.given == sampling.max_tokens:
            return self.finish("length")
        token = self._next()
        if self.answer is not None and token in sampling.stop_token_ids:
            return self.finish("stop")
        reports = sampling.top_logprobs is not None
        logprobs = (_score(token, self.given, sampling.top_logprobs or 0),) if reports else ()
        self.given += 1
        self._send(StreamTokens(request=self.request.request, tokens=(token,), logprobs=logprobs))
        return True

    def finish(self, reason: FinishReason, error: ServiceError | None = None) -> bool:
        """Send the end; always False: the stream does not go on."""
        body = to_body(error) if error else None
        finished = FinishedStream(request=self.request.request, reason=reason, error=body)
        self.sink(StepFrame(finished=(finished,)))
        return False

    def _next(self) -> int:
        """What a bias forces, or else the answer; as after an end of text that was ignored, it
        begins anew where no stop token is known."""
        for token, bias in self.request.sampling.logit_bias.items():
            if bias >= FORCING_BIAS:
                return token
        source = self.request.tokens if self.answer is None else self.answer
        return source[self.given % len(source)]

    def _send(self, growth: StreamTokens) -> None:
        self.sink(StepFrame(tokens=(growth,)))


def guide_error(request: AddRequest) -> ServiceError | None:
    """Of a schema the fake looks at the type alone."""
    guide = request.sampling.guide
    if guide is None:
        return None
    known = {None, "object", "array", "string", "number", "integer", "boolean", "null"}
    if json.loads(guide.json_schema).get("type") in known:
        return None
    return InvalidRequest("The schema cannot be used: invalid type", param=guide.param)


def _score(token: int, position: int, top: int = 0) -> TokenLogprob:
    """−1 at the first position, −2 at the second …; the likeliest are the token and those after
    it, each by 1 less likely."""
    logprob = -1.0 - position
    likeliest = tuple((token + place, logprob - place) for place in range(top))
    return TokenLogprob(logprob=logprob, top=likeliest)
