"""An adapter in the form in which it is served."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from service.engine.parts import AdapterWeights


class ServedFactors(NamedTuple):
    """One layer's factors in the base's dtype, the adapter's scaling within `b`."""

    a: torch.Tensor
    """(rank, in_features)"""
    b: torch.Tensor
    """(rank, out_features): transposed, for products of few rows"""


@dataclass(frozen=True, eq=False)
class ServedAdapter:
    """An adapter on its device; compared by identity."""

    factors: Mapping[str, ServedFactors]

    @classmethod
    def cast(
        cls, weights: AdapterWeights, *, dtype: torch.dtype, device: torch.device
    ) -> "ServedAdapter":
        """The adapter in the base's dtype."""
        return cls(
            {
                name: ServedFactors(
                    pair.a.to(device=device, dtype=dtype),
                    (pair.b.t() * weights.scaling).contiguous().to(device=device, dtype=dtype),
                )
                for name, pair in weights.modules.items()
            }
        )
