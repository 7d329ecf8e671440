"""The arithmetic of attention, for a batch of equally long queries and keys."""

import torch
from torch.nn import functional as F

from service.engine.attention.interface import AttentionOptions


def causal(queries: int, keys: int, window: int | None, device: torch.device) -> torch.Tensor:
    """(queries, keys) bool: the last query sees every key, the one before all but one …"""
    query = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)[None, :]
    visible = key <= query
    return visible if window is None else visible & (key > query - window)


def explicit_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    visible: torch.Tensor,
    options: AttentionOptions,
) -> torch.Tensor:
    """Masked softmax in fp32. (B, heads, Q, D), (B, key heads, K, D) and a mask that broadcasts
    to (B, heads, Q, K) give (B, heads, Q, D).

    On a CPU its backward takes a fraction of the time of the fused kernel's.
    """
    batch, heads, queries, _ = query.shape
    key_heads, keys = key.shape[1], key.shape[2]
    grouped = query.reshape(batch, key_heads, -1, query.shape[-1])  # a group shares a key head
    scores = torch.matmul(grouped, key.transpose(-1, -2)).float() * options.scaling
    scores = scores.view(batch, heads, queries, keys)
    if options.softcap is not None:
        scores = torch.tanh(scores / options.softcap) * options.softcap
    weights = torch.softmax(scores.masked_fill(~visible, float("-inf")), dim=-1)
    mixed = torch.matmul(weights.to(value.dtype).view(batch, key_heads, -1, keys), value)
    return mixed.view(batch, heads, queries, -1)


def fused_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    visible: torch.Tensor | None,
    options: AttentionOptions,
) -> torch.Tensor:
    """As `explicit_attention`, without its (Q, K) memory; `visible` None means causal, Q = K."""
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=visible,
        is_causal=visible is None,
        scale=options.scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    *,
    visible: torch.Tensor | None,
    options: AttentionOptions,
) -> torch.Tensor:
    """Whichever of the two can do it without a gradient."""
    if options.softcap is None:
        return fused_attention(query, key, value, visible, options)
    if visible is None:
        visible = causal(query.shape[2], key.shape[2], None, query.device)
    return explicit_attention(query, key, value, visible, options)
