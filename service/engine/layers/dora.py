"""DoRA: a magnitude for each output beside the low-rank direction (Liu et al. 2024).

y = g ∘ (W x + s·B A x) + bias with g = m / ‖W + s·B A‖, the norm of each row; as in PEFT the norm
is a constant to the gradient.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch


class LowRank(NamedTuple):
    """One layer's factors, fp32, the scaling within `b`."""

    a: torch.Tensor
    """(rank, in_features)"""
    b: torch.Tensor
    """(out_features, rank)"""


def row_norms(weight: torch.Tensor, *added: LowRank) -> torch.Tensor:
    """‖W + Σ B A‖ by rows, (out_features) in fp32, without ever forming B A."""
    wide = weight.detach().float()
    squares = wide.square().sum(dim=1)
    if added:
        a = torch.cat([pair.a.detach().float() for pair in added])
        b = torch.cat([pair.b.detach().float() for pair in added], dim=1)
        squares += 2 * (wide @ a.t() * b).sum(dim=1)
        squares += (b @ (a @ a.t()) * b).sum(dim=1)
    # Rounding may leave a row that the adapter cancels a little below zero.
    return squares.clamp_min(torch.finfo(torch.float32).tiny).sqrt()


@dataclass
class Magnitude:
    """A layer's trained magnitude, and the norm that it is divided by."""

    value: torch.Tensor
    """(out_features), fp32; a leaf of autograd."""
    norms: torch.Tensor
    """(out_features), fp32, of the layer's weight with the factors as they are."""
    bias: torch.Tensor | None

    def scale(self, y: torch.Tensor) -> torch.Tensor:
        """`y` (rows, out), bias included, times the gain, the bias left as it is."""
        gain = self.value / self.norms
        bias = self.bias
        plain = y if bias is None else y - bias
        scaled = plain * gain.to(y.dtype)
        return scaled if bias is None else scaled + bias
