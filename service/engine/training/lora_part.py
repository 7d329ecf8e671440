"""A LoRA in training: two factors for each adapted layer."""

import math
from collections.abc import Mapping, Sequence

import torch

from service.core.engine_protocol import LoraTuning
from service.core.errors import InvalidHyperparameter
from service.engine.layers import TrainedFactors, select_targets
from service.engine.parts import AdapterWeights, LoraPair
from service.engine.runner import BaseRunner
from service.engine.training.random_keys import generator
from service.engine.training.weights import Slot


class LoraPart:
    """Factors in the base's dtype, named `<layer>.a` and `<layer>.b`."""

    def __init__(self, runner: BaseRunner, tuning: LoraTuning) -> None:
        """Raises InvalidHyperparameter for targets that the base lacks."""
        self.tuning = tuning
        root = math.sqrt(tuning.rank) if tuning.use_rslora else tuning.rank
        self.scaling = tuning.alpha / root
        self.layers = select_targets(runner.linears, tuning)
        self.slots: Sequence[Slot] = [
            slot
            for name in self.layers
            for linear in [runner.linears[name]]
            for slot in (
                Slot(f"{name}.a", (tuning.rank, linear.in_features), runner.base.dtype),
                Slot(f"{name}.b", (linear.out_features, tuning.rank), runner.base.dtype),
            )
        ]
        self.factors: Mapping[str, TrainedFactors] = {}

    def bind(self, leaves: Mapping[str, torch.Tensor]) -> None:
        """See Part."""
        self.factors = {
            name: TrainedFactors(leaves[f"{name}.a"], leaves[f"{name}.b"]) for name in self.layers
        }

    def initialise(self, weights: Mapping[str, torch.Tensor], seed: int) -> None:
        """As PEFT does it: A uniform within 1/√in (Kaiming, a=√5), B zero, so that nothing changes
        at first."""
        # Drawn on the CPU, so that a seed means the same weights on every device.
        cpu = torch.device("cpu")
        random = generator(seed, step=0, purpose="init", line=0, device=cpu)
        for name in self.layers:
            a = weights[f"{name}.a"]
            bound = 1 / math.sqrt(a.shape[1])
            a.copy_(torch.empty(a.shape).uniform_(-bound, bound, generator=random))
            weights[f"{name}.b"].zero_()

    def start_from(self, weights: Mapping[str, torch.Tensor], stored: AdapterWeights) -> None:
        """Copy stored weights, their scaling folded into B.

        Raises InvalidHyperparameter unless they have the tuning's layers and rank.
        """
        shapes = {name: weights[f"{name}.a"].shape for name in self.layers}
        if shapes != {name: pair.a.shape for name, pair in stored.modules.items()}:
            raise InvalidHyperparameter(
                f"adapter {stored.id} has another rank or other target modules than the tuning",
                param="tuning",
            )
        for name, source in stored.modules.items():
            weights[f"{name}.a"].copy_(source.a)
            weights[f"{name}.b"].copy_(source.b * (stored.scaling / self.scaling))

    def snapshot(self, weights: Mapping[str, torch.Tensor], id: str) -> AdapterWeights:
        """The adapter that these weights are."""
        return AdapterWeights(
            id=id,
            digest="",
            tuning=self.tuning,
            scaling=self.scaling,
            modules={
                name: LoraPair(weights[f"{name}.a"], weights[f"{name}.b"]) for name in self.layers
            },
        )
