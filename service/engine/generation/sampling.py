"""The next token from its logits; a draw is a pure function of seed and position."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import torch

_COOLEST = 1e-4
"""Lower temperatures would overflow the logits."""
_NUCLEUS_GUESS = 256
"""Candidates looked at before the whole vocabulary is sorted."""


class Selection(Enum):
    """Which tokens take part in a draw; rows of one kind are computed together."""

    LIKELIEST = auto()
    ALL = auto()
    NUCLEUS = auto()
    PICKED = auto()
    """By top_k or min_p, and then by top_p."""


@dataclass(frozen=True)
class Draw:
    """How one row is sampled."""

    temperature: float
    top_p: float
    seed: int
    position: int
    """Index of the token in its sequence."""
    top_k: int = 0
    """0 leaves every token."""
    min_p: float = 0.0

    @property
    def selection(self) -> "Selection":
        """Which tokens take part in the draw."""
        if not self.temperature:
            return Selection.LIKELIEST
        if self.top_k or self.min_p:
            return Selection.PICKED
        return Selection.NUCLEUS if self.top_p < 1 else Selection.ALL

    @property
    def uniform(self) -> float:
        """In [0, 1)."""
        digest = hashlib.blake2b(f"{self.seed}:{self.position}".encode(), digest_size=8).digest()
        return float((int.from_bytes(digest, "big") >> 11) * 2.0**-53)


def sample(logits: torch.Tensor, draws: Sequence[Draw]) -> list[int | None]:
    """One token a row of (rows, vocabulary) fp32; None where the logits are not finite."""
    best, greedy = logits.max(dim=-1)  # a NaN anywhere in a row is its maximum
    tokens: list[int] = greedy.tolist()
    rows_of: dict[Selection, list[int]] = {}
    for row, draw in enumerate(draws):
        rows_of.setdefault(draw.selection, []).append(row)
    rows_of.pop(Selection.LIKELIEST, None)
    for selection, rows in rows_of.items():
        chosen = _draw(logits[rows], [draws[row] for row in rows], selection)
        for row, token in zip(rows, chosen, strict=True):
            tokens[row] = token
    finite: list[bool] = torch.isfinite(best).tolist()
    return [token if ok else None for token, ok in zip(tokens, finite, strict=True)]


def _draw(logits: torch.Tensor, draws: Sequence[Draw], selection: Selection) -> list[int]:
    temperature = [max(draw.temperature, _COOLEST) for draw in draws]
    probabilities = torch.softmax(logits / logits.new_tensor(temperature)[:, None], dim=-1)
    uniform = [draw.uniform for draw in draws]
    if selection is Selection.ALL:
        return _invert(probabilities, uniform).tolist()
    select = _nucleus if selection is Selection.NUCLEUS else _pick
    kept, candidates = select(probabilities, draws)
    index = _invert(kept, uniform)[:, None]
    return candidates.gather(1, index)[:, 0].tolist()


def _nucleus(
    probabilities: torch.Tensor, draws: Sequence[Draw]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens that together reach `top_p`, the rest zero; and which tokens."""
    top_p = probabilities.new_tensor([[draw.top_p] for draw in draws])
    found, candidates = probabilities.topk(_guess(probabilities), dim=-1)
    if not bool((found.sum(-1, keepdim=True) >= top_p).all()):
        found, candidates = probabilities.sort(dim=-1, descending=True)
    before = found.cumsum(-1) - found
    return torch.where(before < top_p, found, 0), candidates


def _pick(probabilities: torch.Tensor, draws: Sequence[Draw]) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens that `min_p` and `top_k` leave, and of their mass the share `top_p`."""
    vocabulary = probabilities.shape[1]
    top_k = probabilities.new_tensor([[draw.top_k or vocabulary] for draw in draws])
    min_p = probabilities.new_tensor([[draw.min_p] for draw in draws])
    top_p = probabilities.new_tensor([[draw.top_p] for draw in draws])
    found, candidates = probabilities.topk(_guess(probabilities), dim=-1)
    enough = (top_k <= found.shape[1]) | (found[:, -1:] < min_p * found[:, :1])
    if not bool(enough.all()):
        found, candidates = probabilities.sort(dim=-1, descending=True)
    rank = torch.arange(found.shape[1], device=found.device)
    left = torch.where((rank < top_k) & (found >= min_p * found[:, :1]), found, 0)
    before = left.cumsum(-1) - left
    return torch.where(before < top_p * left.sum(-1, keepdim=True), left, 0), candidates


def _guess(probabilities: torch.Tensor) -> int:
    return min(_NUCLEUS_GUESS, probabilities.shape[1])


def _invert(weights: torch.Tensor, uniform: Sequence[float]) -> torch.Tensor:
    """Inverse of the cumulative distribution, for weights that need not sum to one."""
    # In fp32 the sum over a vocabulary loses the rarest tokens; Apple's GPUs have nothing else.
    precise = torch.float32 if weights.device.type == "mps" else torch.float64
    cumulative = weights.to(precise).cumsum(-1)
    point = cumulative.new_tensor(uniform)[:, None] * cumulative[:, -1:]
    index = torch.searchsorted(cumulative, point, right=True)
    return index[:, 0].clamp(max=weights.shape[1] - 1)
