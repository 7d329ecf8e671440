"""The one attention function that every base's layers call, and what it may be asked to do.

A pass gives the model `packed=` some PackedAttention; transformers hands it through to here.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from transformers import AttentionInterface

from service.core.errors import ConfigurationError

IMPLEMENTATION = "tunery"

_NOT_COMPUTED = ("s_aux", "position_bias", "head_mask", "block_indices")
"""Extra inputs of some models' attention that would change its result."""


@dataclass(frozen=True)
class AttentionOptions:
    """What a layer asks of its attention beside query, key and value."""

    scaling: float
    softcap: float | None = None
    sliding_window: int | None = None

    @property
    def is_plain(self) -> bool:
        """Causal and nothing else."""
        return self.softcap is None and self.sliding_window is None


class PackedAttention(Protocol):
    """Who attends to whom in one packed batch."""

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        options: AttentionOptions,
    ) -> torch.Tensor:
        """From (heads, rows, size) and (key heads, rows, size) to (rows, heads, size)."""


def register() -> None:
    """Make the implementation known to transformers; without a mask function it builds no mask."""
    AttentionInterface.register(IMPLEMENTATION, _attend)


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packed: PackedAttention,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **others: object,
) -> tuple[torch.Tensor, None]:
    unknown = [name for name in _NOT_COMPUTED if others.get(name) is not None]
    if unknown or attention_mask is not None or not getattr(module, "is_causal", True):
        needs = ", ".join(unknown) or "attention that is not causal"
        raise ConfigurationError(f"{type(module).__name__} needs {needs}, which is not supported")
    options = AttentionOptions(
        query.shape[-1] ** -0.5 if scaling is None else scaling, softcap, sliding_window
    )
    layer: int = module.layer_idx  # type: ignore[assignment]
    return packed.attend(layer, query[0], key[0], value[0], options).unsqueeze(0), None
