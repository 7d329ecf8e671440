"""An adapter in training: fp32 weights in one flat tensor, cut into the factors of each layer."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import LoraTuning
from service.core.errors import InvalidHyperparameter
from service.engine.layers import TrainedFactors, select_targets
from service.engine.parts import AdapterWeights, LoraPair
from service.engine.runner import BaseRunner
from service.engine.training.random_keys import generator


@dataclass(frozen=True)
class _Layer:
    name: str
    rank: int
    in_features: int
    out_features: int


class TrainedAdapter:
    """Weights and gradient as flat tensors: an optimizer step or a snapshot is a few operations.

    Products use `factors`, in the base's dtype; autograd ends at them, and what it finds is added
    to the fp32 gradient.
    """

    def __init__(self, runner: BaseRunner, tuning: LoraTuning) -> None:
        """All weights zero. Raises InvalidHyperparameter for targets that the base lacks."""
        base = runner.base
        self.tuning = tuning
        root = math.sqrt(tuning.rank) if tuning.use_rslora else tuning.rank
        self.scaling = tuning.alpha / root
        self._layers = [
            _Layer(name, tuning.rank, linear.in_features, linear.out_features)
            for name in select_targets(runner.linears, tuning)
            for linear in [runner.linears[name]]
        ]
        size = sum(x.rank * (x.in_features + x.out_features) for x in self._layers)
        self.weights = torch.zeros(size, device=base.device)
        self.gradient = torch.zeros_like(self.weights)
        # In an fp32 base this is `weights` itself, and `refresh` has nothing to do.
        self._cast = self.weights.to(base.dtype)
        self.factors: Mapping[str, TrainedFactors] = {
            name: TrainedFactors(pair.a.requires_grad_(), pair.b.requires_grad_())
            for name, pair in self.cut(self._cast).items()
        }
        self.leaves: Sequence[torch.Tensor] = [
            factor for pair in self.factors.values() for factor in pair
        ]

    @property
    def size(self) -> int:
        """Trainable parameters."""
        return self.weights.numel()

    def initialise(self, seed: int) -> None:
        """As PEFT does it: A uniform within 1/√in (Kaiming, a=√5), B zero, so that nothing changes
        at first."""
        # Drawn on the CPU, so that a seed means the same weights on every device.
        cpu = torch.device("cpu")
        random = generator(seed, step=0, purpose="init", line=0, device=cpu)
        for pair in self.cut(self.weights).values():
            bound = 1 / math.sqrt(pair.a.shape[1])
            pair.a.copy_(torch.empty(pair.a.shape).uniform_(-bound, bound, generator=random))
            pair.b.zero_()
        self.refresh()

    def start_from(self, stored: AdapterWeights) -> None:
        """Copy stored weights, their scaling folded into B.

        Raises InvalidHyperparameter unless they have the tuning's layers and rank.
        """
        pairs = self.cut(self.weights)
        shapes = {name: pair.a.shape for name, pair in pairs.items()}
        if shapes != {name: pair.a.shape for name, pair in stored.modules.items()}:
            raise InvalidHyperparameter(
                f"adapter {stored.id} has another rank or other target modules than the tuning",
                param="tuning",
            )
        for name, pair in pairs.items():
            source = stored.modules[name]
            pair.a.copy_(source.a)
            pair.b.copy_(source.b * (stored.scaling / self.scaling))
        self.refresh()

    def refresh(self) -> None:
        """Make the products use the weights as they are."""
        if self._cast is not self.weights:
            self._cast.copy_(self.weights)

    def add_gradient(self, gradients: Sequence[torch.Tensor]) -> None:
        """One for each of `leaves`, in their order."""
        self.gradient += torch.cat([gradient.flatten() for gradient in gradients])

    def cut(self, flat: torch.Tensor) -> dict[str, LoraPair]:
        """Views of a flat tensor, layer by layer."""
        pairs, start = {}, 0
        for layer in self._layers:
            middle = start + layer.rank * layer.in_features
            stop = middle + layer.rank * layer.out_features
            pairs[layer.name] = LoraPair(
                flat[start:middle].view(layer.rank, layer.in_features),
                flat[middle:stop].view(layer.out_features, layer.rank),
            )
            start = stop
        return pairs

    def snapshot(self, id: str) -> AdapterWeights:
        """A copy that training leaves alone, on the CPU."""
        return AdapterWeights(
            id=id,
            digest="",
            tuning=self.tuning,
            scaling=self.scaling,
            modules=self.cut(self.weights.detach().to("cpu", copy=True)),
        )
