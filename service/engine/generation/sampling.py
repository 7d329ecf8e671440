"""The next token from its logits; a draw is a pure function of seed and position."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch

_COOLEST = 1e-4
"""Lower temperatures would overflow the logits."""
_NUCLEUS_GUESS = 256
"""Candidates looked at before the whole vocabulary is sorted."""


@dataclass(frozen=True)
class Draw:
    """How one row is sampled."""

    temperature: float
    top_p: float
    seed: int
    position: int
    """Index of the token in its sequence."""

    @property
    def uniform(self) -> float:
        """In [0, 1)."""
        digest = hashlib.blake2b(f"{self.seed}:{self.position}".encode(), digest_size=8).digest()
        return float((int.from_bytes(digest, "big") >> 11) * 2.0**-53)


def sample(logits: torch.Tensor, draws: Sequence[Draw]) -> list[int | None]:
    """One token a row of (rows, vocabulary) fp32; None where the logits are not finite."""
    best, greedy = logits.max(dim=-1)  # a NaN anywhere in a row is its maximum
    tokens: list[int] = greedy.tolist()
    for nucleus in (False, True):
        rows = [
            i
            for i, draw in enumerate(draws)
            if draw.temperature > 0 and (draw.top_p < 1) == nucleus
        ]
        if rows:
            chosen = _draw(logits[rows], [draws[i] for i in rows], nucleus=nucleus)
            for row, token in zip(rows, chosen, strict=True):
                tokens[row] = token
    finite: list[bool] = torch.isfinite(best).tolist()
    return [token if ok else None for token, ok in zip(tokens, finite, strict=True)]


def _draw(logits: torch.Tensor, draws: Sequence[Draw], *, nucleus: bool) -> list[int]:
    temperature = [max(draw.temperature, _COOLEST) for draw in draws]
    probabilities = torch.softmax(logits / logits.new_tensor(temperature)[:, None], dim=-1)
    uniform = [draw.uniform for draw in draws]
    if not nucleus:
        return _invert(probabilities, uniform).tolist()
    top_p = logits.new_tensor([[draw.top_p] for draw in draws])
    kept, candidates = _nucleus(probabilities, top_p)
    index = _invert(kept, uniform)[:, None]
    return candidates.gather(1, index)[:, 0].tolist()


def _nucleus(probabilities: torch.Tensor, top_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens that together reach `top_p`, the rest zero; and which tokens."""
    count = min(_NUCLEUS_GUESS, probabilities.shape[1])
    found, candidates = probabilities.topk(count, dim=-1)
    if not bool((found.sum(-1, keepdim=True) >= top_p).all()):
        found, candidates = probabilities.sort(dim=-1, descending=True)
    before = found.cumsum(-1) - found
    return torch.where(before < top_p, found, 0), candidates


def _invert(weights: torch.Tensor, uniform: Sequence[float]) -> torch.Tensor:
    """Inverse of the cumulative distribution, for weights that need not sum to one."""
    # In fp32 the sum over a vocabulary loses the rarest tokens; Apple's GPUs have nothing else.
    precise = torch.float32 if weights.device.type == "mps" else torch.float64
    cumulative = weights.to(precise).cumsum(-1)
    point = cumulative.new_tensor(uniform)[:, None] * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, point, right=True)
    return index[:, 0].clamp(max=weights.shape[1] - 1)
