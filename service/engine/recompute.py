"""Long passes keep each layer's input alone; the backward computes the layer once more.

Chen et al. 2016. About a third more time for a fraction of the memory, so only passes that would
not fit do it. Dropout is drawn again from where its generators stood.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from service.engine.attention import RowLayout
from service.engine.layers import AdapterSwitch, RowPlan, TrainedRuns

_EXPLICIT_SCORES = 1024
"""Longer rows go through a kernel that keeps no scores."""


@dataclass(frozen=True)
class ActivationSizes:
    """What one pass keeps for its backward, estimated from the model's sizes."""

    layers: int
    heads: int
    fused_width: int
    """Numbers that a fused layer keeps of a token."""
    own_width: int
    """Numbers that a layer of transformers keeps of a token."""
    element_bytes: int

    @classmethod
    def of(cls, model: PreTrainedModel, dtype: torch.dtype) -> "ActivationSizes":
        config: Any = model.config.get_text_config()
        hidden = config.hidden_size
        inner = getattr(config, "intermediate_size", None) or 4 * hidden
        return cls(
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            # x twice, its mix, q/k/v at most three of it; gate and up.
            fused_width=6 * hidden + 2 * inner,
            # Counted on a Llama layer: norms, residuals, rotations, products of gate and up.
            own_width=18 * hidden + 5 * inner,
            element_bytes=dtype.itemsize,
        )

    def estimate(self, layout: RowLayout, tokens: int, *, is_fused: bool) -> int:
        """Bytes, of all layers together."""
        width = self.fused_width if is_fused else self.own_width
        numbers = tokens * width * self.layers
        scores = 0
        if not is_fused:
            explicit = [bucket for bucket in layout.buckets if bucket.keys <= _EXPLICIT_SCORES]
            scores = sum(b.count * b.width * b.keys for b in explicit) * self.heads * self.layers
        return numbers * self.element_bytes + scores * (8 + self.element_bytes)


@contextmanager
def replaying(
    model: PreTrainedModel, switch: AdapterSwitch, plan: RowPlan | None
) -> Iterator[None]:
    """Passes within keep no layer's insides. Layers that transformers cannot replay keep them."""
    layers: list[Any] = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]

    def run(layer: Callable[..., Any], *arguments: Any) -> Any:
        drawn = dropout_states(plan)

        @contextmanager
        def again() -> Iterator[None]:
            restore_dropout(plan, drawn)
            with switch.using(plan):
                yield

        return checkpoint(
            layer,
            *arguments,
            use_reentrant=False,
            preserve_rng_state=False,
            context_fn=lambda: (nullcontext(), again()),
        )

    for layer in layers:
        # The flag of the layer itself; its children stay in eval mode.
        layer.gradient_checkpointing, layer.training = True, True
        layer._gradient_checkpointing_func = run
    try:
        yield
    finally:
        for layer in layers:
            layer.gradient_checkpointing, layer.training = False, False
            del layer._gradient_checkpointing_func


def dropout_states(plan: RowPlan | None) -> list[list[torch.Tensor]]:
    """Where the generators of every run stand."""
    return [] if not isinstance(plan, TrainedRuns) else plan.dropout_states()


def restore_dropout(plan: RowPlan | None, states: list[list[torch.Tensor]]) -> None:
    """Put them back there."""
    if isinstance(plan, TrainedRuns):
        plan.restore_dropout(states)
