"""The model that a session trains: its weights, and what rows are computed with."""

from collections.abc import Mapping

import torch

from service.core.engine_protocol import LoraTuning
from service.engine.layers import TrainedFactors
from service.engine.parts import AdapterWeights
from service.engine.runner import BaseRunner
from service.engine.training.head_part import HeadPart
from service.engine.training.lora_part import LoraPart
from service.engine.training.weights import Part, RowWeights, TrainedWeights


class TrainedModel:
    """An adapter, a head, or both, over a base.

    Optimizer, states and snapshots work on `weights` and know nothing of the parts.
    """

    def __init__(
        self,
        runner: BaseRunner,
        *,
        lora: LoraPart | None = None,
        head: HeadPart | None = None,
        at_start: RowWeights | None = None,
    ) -> None:
        """All weights zero. `at_start`: what the job began with; None is the base alone."""
        self.runner = runner
        self.lora = lora
        self.head = head
        parts: list[Part | None] = [lora, head]
        self.weights = TrainedWeights([part for part in parts if part], runner.base.device)
        self.at_start = at_start or RowWeights(runner)
        """The reference of a policy."""

    @classmethod
    def adapter(cls, runner: BaseRunner, tuning: LoraTuning) -> "TrainedModel":
        """A LoRA over a base. Raises InvalidHyperparameter for targets that the base lacks."""
        return cls(runner, lora=LoraPart(runner, tuning))

    def start_from(self, stored: AdapterWeights) -> None:
        """Train stored weights further; a copy of them is the reference.

        Raises InvalidHyperparameter unless they have the tuning's layers and rank.
        """
        assert self.lora is not None
        with torch.no_grad():
            self.lora.start_from(self.weights.cut(self.weights.flat), stored)
        self.weights.refresh()
        frozen = {
            name: TrainedFactors(pair.a.detach().clone(), pair.b.detach().clone())
            for name, pair in self.lora.factors.items()
        }
        self.at_start = RowWeights(self.runner, frozen, self.lora.scaling)

    @property
    def now(self) -> RowWeights:
        """The weights as they are."""
        if self.lora is None:
            return RowWeights(self.runner)
        factors: Mapping[str, TrainedFactors] = self.lora.factors
        return RowWeights(self.runner, factors, self.lora.scaling)

    @property
    def head_tensors(self) -> Mapping[str, torch.Tensor]:
        """What the head computes with, by its own names; among the leaves. Empty without one."""
        return {} if self.head is None else self.head.tensors

    @property
    def dropout(self) -> float:
        """Of the adapter's input."""
        return 0.0 if self.lora is None else self.lora.tuning.dropout
