"""The layers of a head: their shapes, how they begin, what they compute."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch.nn import functional as F

from service.core.engine_protocol import HeadSpec
from service.engine.layers import RowDropout
from service.engine.training.random_keys import generator

HeadTensors = Mapping[str, torch.Tensor]
"""`layers.{i}.weight` (outputs, inputs) and `layers.{i}.bias` (outputs), fp32."""


@dataclass(frozen=True)
class Head:
    """Linear layers, GELU between them (Hendrycks & Gimpel 2016), dropout before each."""

    spec: HeadSpec
    features: int
    """Size of the hidden states that it reads."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Of its tensors, by name."""
        widths = [self.features, *self.spec.hidden_layers, self.spec.outputs]
        shapes: dict[str, tuple[int, ...]] = {}
        for index, (inputs, outputs) in enumerate(pairwise(widths)):
            shapes[f"layers.{index}.weight"] = (outputs, inputs)
            shapes[f"layers.{index}.bias"] = (outputs,)
        return shapes

    @torch.no_grad()
    def initialise(self, tensors: HeadTensors, seed: int) -> None:
        """Uniform within 1/√inputs, as torch's linear layers begin; the last layer zero, so that
        a head first says nothing: every label alike, every value 0."""
        # Drawn on the CPU, so that a seed means the same weights on every device.
        random = generator(seed, step=0, purpose="head", line=0, device=torch.device("cpu"))
        for index in range(self._layers):
            weight, bias = self._layer(tensors, index)
            bound = 1 / math.sqrt(weight.shape[1])
            for tensor in (weight, bias):
                if index == self._layers - 1:
                    tensor.zero_()
                else:
                    drawn = torch.empty(tensor.shape).uniform_(-bound, bound, generator=random)
                    tensor.copy_(drawn)

    def apply(
        self, tensors: HeadTensors, features: torch.Tensor, dropout: RowDropout | None = None
    ) -> torch.Tensor:
        """(rows, outputs) of (rows, features), both fp32. Follows the caller's gradient mode."""
        x = features
        for index in range(self._layers):
            if index:
                x = F.gelu(x)
            if dropout is not None:
                x = dropout.apply(x)
            x = F.linear(x, *self._layer(tensors, index))
        return x

    @property
    def _layers(self) -> int:
        return len(self.spec.hidden_layers) + 1

    @staticmethod
    def _layer(tensors: HeadTensors, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return tensors[f"layers.{index}.weight"], tensors[f"layers.{index}.bias"]
