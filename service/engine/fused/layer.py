"""A decoder layer of the Llama family, read from transformers' modules.

Pre-norm, rotary positions, grouped queries, SwiGLU (Touvron et al. 2023; Jiang et al. 2023 for
Mistral); Qwen2 adds biases to q, k and v, Qwen3 a norm to each head of q and k.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from service.engine.fused.attention import HeadShape
from service.engine.fused.projection import FusedProjection

ARCHITECTURES = frozenset(
    {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}
)


@dataclass(frozen=True)
class Norm:
    """Root mean square norm."""

    weight: torch.Tensor
    epsilon: float

    @classmethod
    def of(cls, module: Any) -> "Norm":
        return cls(module.weight.detach(), module.variance_epsilon)


@dataclass(frozen=True)
class FusedLayer:
    """Weights of one layer."""

    attention_norm: Norm
    qkv: FusedProjection
    head_norm: Norm | None
    """Weight (query heads + key heads, size)."""
    shape: HeadShape
    out: FusedProjection
    mlp_norm: Norm
    gate_up: FusedProjection
    down: FusedProjection
    window: int | None
    """Tokens that a query sees at most."""


def read_layers(model: PreTrainedModel, count: int | None = None) -> list[FusedLayer]:
    """The layers, or so many of the lowest, in the model's order; their projections are fused in
    place."""
    name = f"{model.base_model_prefix}.layers"
    modules: Any = model.base_model.layers
    return [_read_layer(f"{name}.{index}", module) for index, module in enumerate(modules[:count])]


def _read_layer(name: str, module: Any) -> FusedLayer:
    attention, mlp = module.self_attn, module.mlp
    shape = HeadShape(
        heads=attention.q_proj.out_features // attention.head_dim,
        key_heads=attention.k_proj.out_features // attention.head_dim,
        size=attention.head_dim,
        scaling=attention.scaling,
    )
    return FusedLayer(
        attention_norm=Norm.of(module.input_layernorm),
        qkv=_fuse(f"{name}.self_attn", attention, "q_proj", "k_proj", "v_proj"),
        head_norm=_head_norm(attention, shape),
        shape=shape,
        out=_fuse(f"{name}.self_attn", attention, "o_proj"),
        mlp_norm=Norm.of(module.post_attention_layernorm),
        gate_up=_fuse(f"{name}.mlp", mlp, "gate_proj", "up_proj"),
        down=_fuse(f"{name}.mlp", mlp, "down_proj"),
        window=_window(attention),
    )


def _fuse(parent: str, module: nn.Module, *names: str) -> FusedProjection:
    return FusedProjection({f"{parent}.{name}": getattr(module, name) for name in names})


def _head_norm(attention: Any, shape: HeadShape) -> Norm | None:
    if not hasattr(attention, "q_norm"):
        return None
    query, key = Norm.of(attention.q_norm), Norm.of(attention.k_norm)
    weights = [query.weight.expand(shape.heads, -1), key.weight.expand(shape.key_heads, -1)]
    return Norm(torch.cat(weights), query.epsilon)


def _window(attention: Any) -> int | None:
    """Mistral has one window for all layers, Qwen's layers each their own."""
    holder = attention if hasattr(attention, "sliding_window") else attention.config
    window: int | None = getattr(holder, "sliding_window", None)
    return window
