"""The two halves of a decoder layer and the last norm, as autograd sees them: one node each.

The jobs' factors are arguments, so that autograd hands them their gradients; the products read
them from the runs. A node keeps its input and the results of its large products; the frozen
weights get no gradient, and neither does the input of the lowest layer that is trained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from service.engine.fused.attention import CausalAttention
from service.engine.fused.functions import (
    inverse_rms,
    rms_norm,
    rms_norm_backward,
    rotate_,
    swiglu,
    swiglu_backward,
)
from service.engine.fused.layer import FusedLayer, Norm
from service.engine.layers import TrainedRun


@dataclass(frozen=True)
class FusedPass:
    """What all layers of one pass share."""

    runs: Sequence[TrainedRun]
    attention: CausalAttention
    cos: torch.Tensor
    """(rows, 1, head size / 2)"""
    sin: torch.Tensor


class AttentionBlock(torch.autograd.Function):
    """x + out(attention(rotate(qkv(norm(x)))))"""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, layer: FusedLayer, shared: FusedPass, *_leaves: torch.Tensor
    ) -> torch.Tensor:
        inverse = inverse_rms(x, layer.attention_norm.epsilon)
        h = rms_norm(x, inverse, layer.attention_norm.weight)
        qkv = layer.qkv.forward(h, shared.runs)
        ctx.heads = _norm_heads(qkv.y, layer)
        rotate_(_rotated(qkv.y, layer), shared.cos, shared.sin)
        mixed = shared.attention.forward(qkv.y)
        out = layer.out.forward(mixed, shared.runs)
        ctx.layer, ctx.shared, ctx.qkv, ctx.out = layer, shared, qkv, out
        ctx.save_for_backward(x, inverse, mixed)
        return out.take().add_(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        layer: FusedLayer = ctx.layer
        shared: FusedPass = ctx.shared
        (dy,) = gradients
        x, inverse, mixed = ctx.saved_tensors
        dmixed, out_leaves = ctx.out.backward(dy, mixed)
        dqkv = shared.attention.backward(dmixed, ctx.qkv.y)
        rotate_(_rotated(dqkv, layer), shared.cos, -shared.sin)
        if ctx.heads is not None:
            _norm_heads_backward_(dqkv, ctx.heads, layer)
        norm = layer.attention_norm
        h = rms_norm(x, inverse, norm.weight) if ctx.qkv.needs_input else None
        dh, qkv_leaves = ctx.qkv.backward(dqkv, h, input_gradient=ctx.needs_input_grad[0])
        dx = None if dh is None else _through_norm(dh, x, inverse, norm, dy)
        return dx, None, None, *qkv_leaves, *out_leaves


class MlpBlock(torch.autograd.Function):
    """x + down(swiglu(gate_up(norm(x))))"""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, layer: FusedLayer, shared: FusedPass, *_leaves: torch.Tensor
    ) -> torch.Tensor:
        inverse = inverse_rms(x, layer.mlp_norm.epsilon)
        h = rms_norm(x, inverse, layer.mlp_norm.weight)
        gate_up = layer.gate_up.forward(h, shared.runs)
        down = layer.down.forward(swiglu(gate_up.y), shared.runs)
        ctx.layer, ctx.gate_up, ctx.down = layer, gate_up, down
        ctx.save_for_backward(x, inverse)
        return down.take().add_(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        layer: FusedLayer = ctx.layer
        (dy,) = gradients
        x, inverse = ctx.saved_tensors
        mixed = swiglu(ctx.gate_up.y) if ctx.down.needs_input else None
        dmixed, down_leaves = ctx.down.backward(dy, mixed)
        dgate_up = swiglu_backward(dmixed, ctx.gate_up.y)
        norm = layer.mlp_norm
        h = rms_norm(x, inverse, norm.weight) if ctx.gate_up.needs_input else None
        dh, up_leaves = ctx.gate_up.backward(dgate_up, h, input_gradient=ctx.needs_input_grad[0])
        dx = None if dh is None else _through_norm(dh, x, inverse, norm, dy)
        return dx, None, None, *up_leaves, *down_leaves


def compute_layer(x: torch.Tensor, layer: FusedLayer, shared: FusedPass) -> torch.Tensor:
    """Both halves."""
    runs = shared.runs
    leaves = [*layer.qkv.leaves(runs), *layer.out.leaves(runs)]
    x = AttentionBlock.apply(x, layer, shared, *leaves)  # type: ignore[no-untyped-call]
    leaves = [*layer.gate_up.leaves(runs), *layer.down.leaves(runs)]
    y: torch.Tensor = MlpBlock.apply(x, layer, shared, *leaves)  # type: ignore[no-untyped-call]
    return y


def layer_leaves(layer: FusedLayer, shared: FusedPass) -> list[torch.Tensor]:
    """The factors of all jobs in a layer."""
    parts = (layer.qkv, layer.out, layer.gate_up, layer.down)
    return [leaf for part in parts for leaf in part.leaves(shared.runs)]


class ReplayedLayer(torch.autograd.Function):
    """A layer that keeps its input and nothing else, and is computed once more in the backward."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, layer: FusedLayer, shared: FusedPass, *_leaves: torch.Tensor
    ) -> torch.Tensor:
        ctx.layer, ctx.shared = layer, shared
        ctx.dropout = [run.dropout.states() if run.dropout else [] for run in shared.runs]
        ctx.save_for_backward(x)
        return compute_layer(x, layer, shared)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        layer: FusedLayer = ctx.layer
        shared: FusedPass = ctx.shared
        for run, states in zip(shared.runs, ctx.dropout, strict=True):
            if run.dropout is not None:
                run.dropout.restore(states)
        (x,) = ctx.saved_tensors
        leaves = layer_leaves(layer, shared)
        with torch.enable_grad():
            entry = x.detach().requires_grad_(ctx.needs_input_grad[0])
            y = compute_layer(entry, layer, shared)
        wanted = [tensor for tensor in (entry, *leaves) if tensor.requires_grad]
        found = iter(torch.autograd.grad(y, wanted, gradients[0]))
        dx, *of_leaves = (
            next(found) if tensor.requires_grad else None for tensor in (entry, *leaves)
        )
        return dx, None, None, *of_leaves


class LastNorm(torch.autograd.Function):
    """norm(x)"""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, norm: Norm) -> torch.Tensor:
        inverse = inverse_rms(x, norm.epsilon)
        ctx.norm = norm
        ctx.save_for_backward(x, inverse)
        return rms_norm(x, inverse, norm.weight)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, inverse = ctx.saved_tensors
        found = rms_norm_backward(gradients[0], x, inverse, ctx.norm.weight)
        return found.to(x.dtype), None


def _through_norm(
    dh: torch.Tensor, x: torch.Tensor, inverse: torch.Tensor, norm: Norm, dy: torch.Tensor
) -> torch.Tensor:
    """The gradient of a block's input: past the block, and through its norm."""
    return rms_norm_backward(dh, x, inverse, norm.weight).add_(dy).to(x.dtype)


def _rotated(qkv: torch.Tensor, layer: FusedLayer) -> torch.Tensor:
    """The heads of (rows, q | k | v) that carry a position: (rows, heads, size), a view."""
    shape = layer.shape
    return qkv[:, : shape.rotated * shape.size].view(-1, shape.rotated, shape.size)


def _norm_heads(qkv: torch.Tensor, layer: FusedLayer) -> torch.Tensor | None:
    """Norm q's and k's heads in place; returns them as they were."""
    if layer.head_norm is None:
        return None
    heads = _rotated(qkv, layer)
    before = heads.clone()
    inverse = inverse_rms(before, layer.head_norm.epsilon)
    heads.copy_(rms_norm(before, inverse, layer.head_norm.weight))
    return before


def _norm_heads_backward_(dqkv: torch.Tensor, before: torch.Tensor, layer: FusedLayer) -> None:
    assert layer.head_norm is not None
    inverse = inverse_rms(before, layer.head_norm.epsilon)
    gradient = _rotated(dqkv, layer)
    gradient.copy_(rms_norm_backward(gradient, before, inverse, layer.head_norm.weight))
