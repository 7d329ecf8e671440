"""Log-probabilities of a head that is one matrix, with their gradient, in place.

The logits of a chunk are computed once and turned into their own gradient, a few rows at a time,
so that the fp32 numbers never leave the cache; on a 49,152-word vocabulary autograd's chain of
copies costs more than twice what the two products do.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

_CHUNK = 128
"""Positions whose logits exist at once."""
_CACHED = 8
"""Of those, rows turned at once on a CPU."""


@dataclass(frozen=True)
class TokenScores:
    """What the head says of each position's target."""

    nll: torch.Tensor
    """−log p(target), fp32, nats."""
    is_correct: torch.Tensor
    """Whether the likeliest token is the target."""
    entropy: torch.Tensor | None = None
    """Of the distribution, fp32, nats; if it was asked for."""

    @classmethod
    def empty(cls, targets: torch.Tensor, *, with_entropy: bool) -> "TokenScores":
        """Of as many positions, to be filled."""
        nll = torch.empty(targets.shape, dtype=torch.float32, device=targets.device)
        is_correct = torch.empty_like(nll, dtype=torch.bool)
        return cls(nll, is_correct, torch.empty_like(nll) if with_entropy else None)

    def part(self, rows: slice) -> "TokenScores":
        """Views of some positions."""
        entropy = None if self.entropy is None else self.entropy[rows]
        return TokenScores(self.nll[rows], self.is_correct[rows], entropy)


@dataclass(frozen=True)
class AnyHead:
    """Logits however the model makes them."""

    logits: Callable[[torch.Tensor], torch.Tensor]
    trained: Sequence[torch.Tensor] = ()
    """Weights that get a gradient."""


@dataclass(frozen=True)
class PlainHead:
    """Logits are `hidden` times the weight, and nothing else."""

    weight: torch.Tensor
    """(vocabulary, size)"""

    @property
    def trained(self) -> list[torch.Tensor]:
        """The weight, if it gets a gradient."""
        return [self.weight] if self.weight.requires_grad else []

    def measure(
        self, hidden: torch.Tensor, targets: torch.Tensor, *, with_entropy: bool = False
    ) -> TokenScores:
        """The scores of each position."""
        scores = TokenScores.empty(targets, with_entropy=with_entropy)
        for chunk in _slices(hidden.shape[0], _CHUNK):
            logits = F.linear(hidden[chunk], self.weight.detach())
            _turn(logits, targets[chunk], scores.part(chunk), None)
        return scores

    def measure_and_differentiate(
        self,
        hidden: torch.Tensor,
        targets: torch.Tensor,
        factors: torch.Tensor,
        *,
        with_entropy: bool = False,
    ) -> tuple[TokenScores, list[torch.Tensor]]:
        """The scores, and the gradients of Σ factor · nll by `hidden` and by `trained`."""
        scores = TokenScores.empty(targets, with_entropy=with_entropy)
        gradient = torch.empty_like(hidden)
        weight = self.weight.detach()
        own = [torch.zeros_like(weight, dtype=torch.float32) for _ in self.trained]
        for chunk in _slices(hidden.shape[0], _CHUNK):
            logits = F.linear(hidden[chunk], weight)
            _turn(logits, targets[chunk], scores.part(chunk), factors[chunk])
            torch.mm(logits, weight, out=gradient[chunk])
            for found in own:
                found += torch.mm(logits.t(), hidden[chunk])
        return scores, [gradient, *(found.to(weight.dtype) for found in own)]


def _turn(
    logits: torch.Tensor, targets: torch.Tensor, scores: TokenScores, factors: torch.Tensor | None
) -> None:
    """Fill the scores; with `factors`, make `logits` their own gradient."""
    rows = _CACHED if logits.device.type == "cpu" else _CHUNK
    for part in _slices(logits.shape[0], rows):
        wide = logits[part].to(torch.float32, copy=True)
        target = targets[part, None]
        highest, likeliest = wide.max(-1, keepdim=True)
        own = wide.gather(1, target) - highest
        shifted = wide.sub_(highest)
        powers = shifted.exp_() if scores.entropy is None else shifted.exp()
        total = powers.sum(-1, keepdim=True)
        scores.nll[part] = (total.log() - own)[:, 0]
        scores.is_correct[part] = (likeliest == target)[:, 0]
        if scores.entropy is not None:
            mean = shifted.mul_(powers).sum(-1, keepdim=True) / total
            scores.entropy[part] = (total.log() - mean)[:, 0]
        if factors is not None:
            # softmax − one at the target, times the factor
            powers.mul_(factors[part, None] / total)
            powers.scatter_add_(1, target, -factors[part, None])
            logits[part] = powers


def _slices(rows: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, rows, size))
