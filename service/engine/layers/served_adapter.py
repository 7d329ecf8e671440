"""An adapter in the form in which it is served."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from service.engine.layers.dora import LowRank, row_norms
from service.engine.parts import AdapterWeights


class Gain(NamedTuple):
    """What a DoRA does to a layer's result before its low-rank product is added."""

    factor: torch.Tensor
    """(out_features): magnitude / norm, computed once."""
    shift: torch.Tensor
    """(out_features): what the factor took from the layer's bias."""

    def apply_(self, y: torch.Tensor) -> None:
        """In place."""
        y.mul_(self.factor).add_(self.shift)


class ServedFactors(NamedTuple):
    """One layer's factors in the base's dtype, the adapter's scaling (and gain) within `b`."""

    a: torch.Tensor
    """(rank, in_features)"""
    b: torch.Tensor
    """(rank, out_features): transposed, for products of few rows"""
    gain: Gain | None = None


@dataclass(frozen=True, eq=False)
class ServedAdapter:
    """An adapter on its device; compared by identity."""

    factors: Mapping[str, ServedFactors]

    @classmethod
    def cast(
        cls,
        weights: AdapterWeights,
        linears: Mapping[str, nn.Linear],
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> "ServedAdapter":
        """The adapter in the base's dtype. `linears`: the layers that it sits on."""
        factors = {}
        for name, pair in weights.modules.items():
            a, b = pair.a.to(device), pair.b.to(device) * weights.scaling
            gain = None
            if name in weights.magnitudes:
                magnitude = weights.magnitudes[name].to(device)
                factor = magnitude / row_norms(linears[name].weight, LowRank(a, b))
                gain = _gain(factor, linears[name].bias, dtype)
                b = b * factor[:, None]
            factors[name] = ServedFactors(a.to(dtype), b.t().contiguous().to(dtype), gain)
        return cls(factors)


def _gain(factor: torch.Tensor, bias: torch.Tensor | None, dtype: torch.dtype) -> Gain:
    shift = torch.zeros_like(factor) if bias is None else (1 - factor) * bias.float()
    return Gain(factor.to(dtype), shift.to(dtype))
