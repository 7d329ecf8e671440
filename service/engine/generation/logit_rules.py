"""What a caller does to the logits before a draw. A stream that asks for nothing has no rules."""

from collections.abc import Sequence

import numpy as np
import torch
from llguidance import LLMatcher

from service.core.engine_protocol import Sampling
from service.core.errors import InvalidRequest
from service.engine.generation.guides import first_line
from service.engine.generation.seen_tokens import SeenTokens

_BANNED = float("-inf")


class LogitRules:
    """The rules of one stream, and what they have to remember of it."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int], *, device: torch.device) -> None:
        self._sampling = sampling
        self._answer = SeenTokens((), device)
        repeats = sampling.repetition_penalty != 1
        self._everything = SeenTokens(prompt, device) if repeats else None
        self._biased = torch.tensor(list(sampling.logit_bias), dtype=torch.long, device=device)
        self._bias = torch.tensor(list(sampling.logit_bias.values()), device=device)
        self._stops = torch.tensor(sampling.stop_token_ids, dtype=torch.long, device=device)
        self._drawn = 0
        self.matcher: LLMatcher | None = None
        """Set once the stream's guide is compiled."""

    @classmethod
    def of(
        cls, sampling: Sampling, prompt: Sequence[int], *, device: torch.device
    ) -> "LogitRules | None":
        """None for a stream whose logits stay as they are."""
        asks = (
            sampling.presence_penalty,
            sampling.frequency_penalty,
            sampling.repetition_penalty != 1,
            sampling.logit_bias,
            sampling.min_tokens,
            sampling.guide,
        )
        return cls(sampling, prompt, device=device) if any(asks) else None

    @property
    def is_complete(self) -> bool:
        """Whether the guide allows nothing more."""
        return self.matcher is not None and self.matcher.is_stopped()

    def check(self) -> None:
        """Raises InvalidRequest when the guide has become too complex to be followed."""
        if self.matcher is not None and self.matcher.is_error():
            guide = self._sampling.guide
            raise InvalidRequest(
                f"The answer cannot be kept to the schema: {first_line(self.matcher.get_error())}",
                param=guide.param if guide else None,
            )

    def note(self, token: int) -> None:
        """A token was drawn and belongs to the answer."""
        self._drawn += 1
        self._answer.add(token)
        if self._everything is not None:
            self._everything.add(token)
        if self.matcher is not None:
            self.matcher.consume_token(token)

    def apply(self, logits: torch.Tensor) -> None:
        """Change a row of logits, (vocabulary,), in place."""
        sampling = self._sampling
        if self._everything is not None:
            ids = self._everything.ids
            values, factor = logits[ids], sampling.repetition_penalty
            logits[ids] = torch.where(values > 0, values / factor, values * factor)
        if (sampling.presence_penalty or sampling.frequency_penalty) and self._drawn:
            penalty = sampling.presence_penalty + sampling.frequency_penalty * self._answer.counts
            logits[self._answer.ids] -= penalty
        if len(self._biased):
            logits[self._biased] += self._bias
        if self.matcher is not None:  # the guide alone says where an answer may end
            logits[_forbidden(self.matcher, logits)] = _BANNED
        elif self._drawn < sampling.min_tokens:
            logits[self._stops] = _BANNED


def _forbidden(matcher: LLMatcher, logits: torch.Tensor) -> torch.Tensor:
    """(vocabulary,), True where the guide does not let a token follow."""
    bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
    allowed = np.unpackbits(bits, bitorder="little")[: logits.shape[0]]
    return torch.from_numpy(allowed).to(logits.device) == 0
