"""All layers of a base in one pass."""

from typing import Any

import torch
from torch.nn import functional as F
from transformers import PreTrainedModel

from service.engine.attention import RowLayout
from service.engine.fused.attention import CausalAttention
from service.engine.fused.blocks import (
    FusedPass,
    LastNorm,
    ReplayedLayer,
    compute_layer,
    layer_leaves,
)
from service.engine.fused.layer import ARCHITECTURES, Norm, read_layers
from service.engine.layers import TrainedRuns

_HIDDEN_ACTIVATION = "silu"


class FusedDecoder:
    """Shares every weight with the model it was made of."""

    def __init__(self, model: PreTrainedModel, *, count: int | None = None) -> None:
        """`supports` has said yes. `count`: fuse only so many of the lowest layers."""
        decoder: Any = model.base_model
        self._embedding = decoder.embed_tokens.weight
        self._angles = decoder.rotary_emb
        self._layers = read_layers(model, count)
        self._norm = Norm.of(decoder.norm)
        windows = [layer.window for layer in self._layers if layer.window is not None]
        self._longest = min(windows, default=None)

    @staticmethod
    def supports(model: PreTrainedModel) -> bool:
        """Whether the layers are of the family."""
        config = model.config
        is_llama = type(model).__name__ in ARCHITECTURES
        return is_llama and getattr(config, "hidden_act", None) == _HIDDEN_ACTIVATION

    def fits(self, layout: RowLayout) -> bool:
        """False where a layer's window would hide a token from a row: that is not computed."""
        return self._longest is None or layout.longest <= self._longest

    def hidden(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        layout: RowLayout,
        plan: TrainedRuns | None,
        *,
        keeps_insides: bool = True,
    ) -> torch.Tensor:
        """(rows, hidden size) after the last norm. Follows the caller's gradient mode.

        Without `keeps_insides` the backward computes every layer again from its input.
        """
        x = self.states(tokens, positions, layout, plan, keeps_insides=keeps_insides)
        hidden: torch.Tensor = LastNorm.apply(x, self._norm)  # type: ignore[no-untyped-call]
        return hidden

    def states(
        self,
        tokens: torch.Tensor,
        positions: torch.Tensor,
        layout: RowLayout,
        plan: TrainedRuns | None,
        *,
        keeps_insides: bool = True,
    ) -> torch.Tensor:
        """As `hidden`, before the last norm: what comes out of the highest fused layer."""
        x = F.embedding(tokens, self._embedding)
        cos, sin = self._angles(x[None], positions[None])  # (1, rows, size), its halves alike
        half = cos.shape[-1] // 2
        runs = () if plan is None else plan.runs
        shared = FusedPass(
            runs,
            CausalAttention(layout, self._layers[0].shape, x.dtype),
            cos[0, :, None, :half],
            sin[0, :, None, :half],
        )
        for layer in self._layers:
            if keeps_insides:
                x = compute_layer(x, layer, shared)
            else:
                leaves = layer_leaves(layer, shared)
                x = ReplayedLayer.apply(x, layer, shared, *leaves)  # type: ignore[no-untyped-call]
        return x
