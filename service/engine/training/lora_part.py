"""A LoRA in training: two factors for each adapted layer, and of a DoRA a magnitude."""

import math
from collections.abc import Mapping, Sequence

import torch

from service.core.engine_protocol import LoraTuning
from service.core.errors import InvalidHyperparameter
from service.engine.layers import (
    LowRank,
    Magnitude,
    TrainedFactors,
    row_norms,
    select_targets,
    stack,
)
from service.engine.parts import AdapterWeights, LoraPair
from service.engine.runner import BaseRunner
from service.engine.training.random_keys import generator
from service.engine.training.weights import RowWeights, Slot

MAX_TRAINED_RANK = 256
MAX_STACKED_RANK = 1024
"""Of an adapter that is trained on another one and published with it."""


class LoraPart:
    """Slots are `<layer>.a` and `<layer>.b`, in the base's dtype, and `<layer>.magnitude`, fp32."""

    def __init__(
        self, runner: BaseRunner, tuning: LoraTuning, start: AdapterWeights | None = None
    ) -> None:
        """`start` is trained further if it has the tuning's layers, rank and kind, and lies frozen
        below otherwise. Raises InvalidHyperparameter for targets that the base lacks and for
        ranks that are too high."""
        self.tuning = tuning
        self.runner = runner
        root = math.sqrt(tuning.rank) if tuning.use_rslora else tuning.rank
        self.scaling = tuning.alpha / root
        self.layers = select_targets(runner.linears, tuning)
        self.slots: Sequence[Slot] = [slot for name in self.layers for slot in self._slots(name)]
        self.factors: Mapping[str, TrainedFactors] = {}
        continues = start is not None and self._has_shape_of(start)
        self._continued = start if continues else None
        self._below = None if continues else start
        self._check_rank()
        self.frozen = None if self._below is None else frozen_run(runner, self._below)
        """What these factors are trained on top of."""

    def bind(self, leaves: Mapping[str, torch.Tensor]) -> None:
        """See Part."""
        self.factors = {
            name: TrainedFactors(
                leaves[f"{name}.a"], leaves[f"{name}.b"], self._magnitude(name, leaves)
            )
            for name in self.layers
        }

    def initialise(self, weights: Mapping[str, torch.Tensor], seed: int) -> None:
        """As the adapter that is trained further; else as PEFT does it: A uniform within 1/√in
        (Kaiming, a=√5), B zero and magnitudes the norms, so that nothing changes at first."""
        if self._continued is not None:
            self._continue(self._continued, weights)
            return
        # Drawn on the CPU, so that a seed means the same weights on every device.
        cpu = torch.device("cpu")
        random = generator(seed, step=0, purpose="init", line=0, device=cpu)
        for name in self.layers:
            a = weights[f"{name}.a"]
            bound = 1 / math.sqrt(a.shape[1])
            a.copy_(torch.empty(a.shape).uniform_(-bound, bound, generator=random))
            weights[f"{name}.b"].zero_()
            if self.tuning.use_dora:
                weights[f"{name}.magnitude"].copy_(self._norms_below(name))

    def refreshed(self) -> None:
        """See Part. The norms of a DoRA follow its factors."""
        for name, pair in self.factors.items():
            if pair.magnitude is not None:
                own = LowRank(pair.a, pair.b.detach().float() * self.scaling)
                pair.magnitude.norms = self._norms_below(name, own)

    def snapshot(self, weights: Mapping[str, torch.Tensor], id: str) -> AdapterWeights:
        """The adapter that these weights are, together with what lies below them."""
        own = AdapterWeights(
            id=id,
            digest="",
            tuning=self.tuning,
            scaling=self.scaling,
            modules={
                name: LoraPair(weights[f"{name}.a"], weights[f"{name}.b"]) for name in self.layers
            },
            magnitudes={
                name: weights[f"{name}.magnitude"] for name in self.layers if self.tuning.use_dora
            },
        )
        return own if self._below is None else stack(self._below, own, self.runner.linears)

    def _slots(self, name: str) -> list[Slot]:
        linear, dtype = self.runner.linears[name], self.runner.base.dtype
        rank = self.tuning.rank
        slots = [
            Slot(f"{name}.a", (rank, linear.in_features), dtype),
            Slot(f"{name}.b", (linear.out_features, rank), dtype),
        ]
        if self.tuning.use_dora:
            slots.append(Slot(f"{name}.magnitude", (linear.out_features,), torch.float32))
        return slots

    def _magnitude(self, name: str, leaves: Mapping[str, torch.Tensor]) -> Magnitude | None:
        if not self.tuning.use_dora:
            return None
        value = leaves[f"{name}.magnitude"]
        return Magnitude(value, torch.ones_like(value), self.runner.linears[name].bias)

    def _norms_below(self, name: str, *own: LowRank) -> torch.Tensor:
        """Norms of the rows of what lies below, with `own` added to it."""
        weight = self.runner.linears[name].weight
        pair = None if self.frozen is None else self.frozen.factors.get(name)
        if pair is None or self.frozen is None:
            return row_norms(weight, *own)
        lower = LowRank(pair.a, pair.b.float() * self.frozen.scaling)
        if pair.magnitude is None:
            return row_norms(weight, lower, *own)
        gain = pair.magnitude.value / pair.magnitude.norms
        inner = [LowRank(part.a, part.b / gain[:, None]) for part in own]
        return gain.abs() * row_norms(weight, lower, *inner)

    def _has_shape_of(self, stored: AdapterWeights) -> bool:
        ranks = {pair.a.shape[0] for pair in stored.modules.values()}
        is_dora = bool(stored.magnitudes)
        return (
            set(stored.modules) == set(self.layers)
            and ranks == {self.tuning.rank}
            and is_dora == self.tuning.use_dora
        )

    def _continue(self, stored: AdapterWeights, weights: Mapping[str, torch.Tensor]) -> None:
        """Its scaling is folded into B."""
        for name, source in stored.modules.items():
            weights[f"{name}.a"].copy_(source.a)
            weights[f"{name}.b"].copy_(source.b * (stored.scaling / self.scaling))
            if self.tuning.use_dora:
                weights[f"{name}.magnitude"].copy_(stored.magnitudes[name])

    def _check_rank(self) -> None:
        if self.tuning.rank > MAX_TRAINED_RANK:
            raise InvalidHyperparameter(
                f"rank {self.tuning.rank} is above {MAX_TRAINED_RANK}", param="tuning.rank"
            )
        together = self.tuning.rank + (0 if self._below is None else self._below.tuning.rank)
        if together > MAX_STACKED_RANK:
            raise InvalidHyperparameter(
                f"the adapter to start from has rank {together - self.tuning.rank} and another "
                f"shape, so both are kept; together they may have rank {MAX_STACKED_RANK}. Choose "
                "a lower rank, or the rank and target modules of that adapter to train it further",
                param="tuning.rank",
            )


def frozen_run(runner: BaseRunner, stored: AdapterWeights) -> RowWeights:
    """Rows computed with a stored adapter, which gets no gradient."""
    base = runner.base

    def place(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return tensor.to(device=base.device, dtype=dtype)

    factors = {}
    for name, pair in stored.modules.items():
        magnitude = None
        if name in stored.magnitudes:
            linear = runner.linears[name]
            low = LowRank(
                place(pair.a, torch.float32), place(pair.b, torch.float32) * stored.scaling
            )
            magnitude = Magnitude(
                place(stored.magnitudes[name], torch.float32),
                row_norms(linear.weight, low),
                linear.bias,
            )
        factors[name] = TrainedFactors(
            place(pair.a, base.dtype), place(pair.b, base.dtype), magnitude
        )
    return RowWeights(runner, factors, stored.scaling)
