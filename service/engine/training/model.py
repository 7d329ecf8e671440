"""The model that a session trains: its weights, and what rows are computed with."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from service.core.engine_protocol import LoraTuning
from service.core.errors import UnsupportedParameter
from service.engine.generation.resident_adapters import ServedModel
from service.engine.layers import ServedAdapter
from service.engine.parts import DeltaWeights, HeadWeights, OverlayWeights
from service.engine.runner import BaseRunner
from service.engine.training.head_part import HeadPart
from service.engine.training.lora_part import LoraPart
from service.engine.training.overlay_part import OverlayPart
from service.engine.training.weights import Part, RowWeights, TrainedWeights

_OVERLAY_FILES = ("overlay.safetensors",)
_ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class Start:
    """What a job began with."""

    rows: RowWeights | None
    """None on an embedding model, which is asked for features alone."""
    delta: DeltaWeights | None = None
    """None: the base alone."""


class TrainedModel:
    """An adapter or tensors of the base, a head, or a head beside one of them.

    Optimizer, states and snapshots work on `weights` and know nothing of the parts.
    """

    def __init__(
        self,
        start: Start,
        *,
        lora: LoraPart | None = None,
        overlay: OverlayPart | None = None,
        head: HeadPart | None = None,
        device: torch.device | None = None,
    ) -> None:
        """All weights zero. `device` is that of the start unless it has none."""
        self.start = start
        self.lora = lora
        self.overlay = overlay
        self.head = head
        parts: list[Part | None] = [lora, overlay, head]
        device = start.rows.runner.base.device if start.rows else device
        self.weights = TrainedWeights(
            [part for part in parts if part], device or torch.device("cpu")
        )

    @classmethod
    def adapter(cls, runner: BaseRunner, tuning: LoraTuning) -> "TrainedModel":
        """A LoRA over a base. Raises InvalidHyperparameter for targets that the base lacks."""
        return cls(Start(RowWeights(runner)), lora=LoraPart(runner, tuning))

    @property
    def now(self) -> RowWeights:
        """The weights as they are."""
        if self.lora is not None:
            lora = self.lora
            return RowWeights(lora.runner, lora.factors, lora.scaling, lora.frozen)
        if self.overlay is not None:
            return RowWeights(self.overlay.runner)
        return self.at_start

    @property
    def at_start(self) -> RowWeights:
        """The weights that the job began with, also after a resumption: a policy's reference."""
        assert self.start.rows is not None
        return self.start.rows

    @property
    def is_head_alone(self) -> bool:
        """Whether nothing below the head is trained."""
        return self.lora is None and self.overlay is None

    def served(self, id: str) -> ServedModel:
        """As streams compute with the weights, until these change.

        Raises UnsupportedParameter for a head alone, which says nothing.
        """
        if self.lora is not None:
            runner = self.lora.runner
            weights = self.lora.snapshot(self.weights.snapshot(), id)
            base = runner.base
            adapter = ServedAdapter.cast(
                weights, runner.linears, dtype=base.dtype, device=base.device
            )
            return ServedModel(runner, adapter)
        if self.overlay is not None:
            return ServedModel(self.overlay.runner, None)
        raise UnsupportedParameter("a session that trains a head alone has nothing to sample from")

    @property
    def head_tensors(self) -> Mapping[str, torch.Tensor]:
        """What the head computes with, by its own names; among the leaves. Empty without one."""
        return {} if self.head is None else self.head.tensors

    @property
    def dropout(self) -> float:
        """Of the adapter's input."""
        return 0.0 if self.lora is None else self.lora.tuning.dropout

    def snapshot(self, id: str, *, temperature: float) -> DeltaWeights:
        """A copy that training leaves alone, on the CPU; what lies frozen is shared."""
        weights = self.weights.snapshot()
        start = self.start.delta
        overlay, adapter = None, None
        shared: list[str] = []
        if self.overlay is not None:
            overlay = OverlayWeights(self.overlay.snapshot(weights), sha256="")
        elif start is not None and start.overlay is not None:
            overlay = start.overlay
            shared += _OVERLAY_FILES
        if self.lora is not None:
            adapter = self.lora.snapshot(weights, id)
        elif self.overlay is None and start is not None and start.adapter is not None:
            adapter = start.adapter
            shared += _ADAPTER_FILES
        return DeltaWeights(
            id=id,
            digest="",
            overlay=overlay,
            adapter=adapter,
            head=self._head_weights(weights, temperature),
            files={name: start.files[name] for name in shared} if start is not None else {},
        )

    def _head_weights(
        self, weights: Mapping[str, torch.Tensor], temperature: float
    ) -> HeadWeights | None:
        """None of a value head, which only training needs; the state keeps it."""
        head = self.head
        if head is None or head.head.spec.kind == "value":
            return None
        return HeadWeights(head.head.spec, temperature, head.own(weights))
