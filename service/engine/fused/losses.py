"""Cross-entropy of a head that is one matrix, with its gradient, in place.

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
        self, hidden: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(nll, is_correct) of each position."""
        nll, is_correct = self._empty(targets)
        for chunk in _slices(hidden.shape[0], _CHUNK):
            logits = F.linear(hidden[chunk], self.weight.detach())
            self._turn(logits, targets[chunk], nll[chunk], is_correct[chunk], None)
        return nll, is_correct

    def measure_and_differentiate(
        self, hidden: torch.Tensor, targets: torch.Tensor, factors: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """(nll, is_correct, gradients of Σ factor · nll with respect to `hidden` and `trained`)."""
        nll, is_correct = self._empty(targets)
        gradient = torch.empty_like(hidden)
        weight = self.weight.detach()
        own = [torch.zeros_like(weight, dtype=torch.float32) for _ in self.trained]
        for chunk in _slices(hidden.shape[0], _CHUNK):
            logits = F.linear(hidden[chunk], weight)
            self._turn(logits, targets[chunk], nll[chunk], is_correct[chunk], factors[chunk])
            torch.mm(logits, weight, out=gradient[chunk])
            for found in own:
                found += torch.mm(logits.t(), hidden[chunk])
        return nll, is_correct, [gradient, *(found.to(weight.dtype) for found in own)]

    def _turn(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        nll: torch.Tensor,
        is_correct: torch.Tensor,
        factors: torch.Tensor | None,
    ) -> None:
        """Fill `nll` and `is_correct`; with `factors`, make `logits` their own gradient."""
        rows = _CACHED if logits.device.type == "cpu" else _CHUNK
        for part in _slices(logits.shape[0], rows):
            wide = logits[part].to(torch.float32, copy=True)
            target = targets[part, None]
            highest, likeliest = wide.max(-1, keepdim=True)
            own = wide.gather(1, target) - highest
            powers = wide.sub_(highest).exp_()
            total = powers.sum(-1, keepdim=True)
            nll[part] = (total.log() - own)[:, 0]
            is_correct[part] = (likeliest == target)[:, 0]
            if factors is not None:
                # softmax − one at the target, times the factor
                powers.mul_(factors[part, None] / total)
                powers.scatter_add_(1, target, -factors[part, None])
                logits[part] = powers

    def _empty(self, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        nll = torch.empty(targets.shape, dtype=torch.float32, device=targets.device)
        return nll, torch.empty_like(nll, dtype=torch.bool)


def _slices(rows: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, rows, size))
