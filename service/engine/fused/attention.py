"""Causal attention of packed rows, explicit, a block of queries at a time.

A block sees the keys up to its own last token, so half of a long row's scores are never computed,
and no more than one block's scores exist at once. The backward computes them again from q and k.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from service.engine.attention import RowLayout

_BLOCK = 256
"""Queries at once."""


@dataclass(frozen=True)
class HeadShape:
    """The heads of a layer, side by side in its q/k/v rows: queries, then keys, then values."""

    heads: int
    key_heads: int
    size: int
    scaling: float

    @property
    def rotated(self) -> int:
        """Heads that carry a position: queries and keys."""
        return self.heads + self.key_heads

    @property
    def widths(self) -> list[int]:
        """Of q, k and v."""
        return [n * self.size for n in (self.heads, self.key_heads, self.key_heads)]

    @property
    def group(self) -> int:
        """Query heads that share a key head."""
        return self.heads // self.key_heads


@dataclass(frozen=True)
class _Block:
    """Consecutive queries of every row of a bucket, with the keys they see."""

    queries: slice
    """Of (tokens · group) query rows."""
    keys: slice
    mask: torch.Tensor
    """(queries · group, keys): zero, or −∞ where a query does not see a key."""


class CausalAttention:
    """For all layers of one pass whose heads have this shape."""

    def __init__(self, layout: RowLayout, shape: HeadShape, dtype: torch.dtype) -> None:
        self._layout = layout
        self._shape = shape
        # Zeros, then a triangle: every block's mask is a part of it.
        block = min(_BLOCK, layout.longest)
        triangle = torch.full((block, block), float("-inf"), dtype=dtype, device=layout.device)
        self._triangle_start = (layout.longest - 1) // _BLOCK * _BLOCK
        zeros = triangle.new_zeros(block, self._triangle_start)
        mask = torch.cat([zeros, triangle.triu_(1)], dim=1)
        self._mask = mask.repeat_interleave(shape.group, dim=0)

    def forward(self, qkv: torch.Tensor) -> torch.Tensor:
        """(rows, q | k | v) → (rows, heads · size)"""
        padded = self._layout.pad(qkv)
        mixed = padded.new_empty(padded.shape[0], self._shape.heads * self._shape.size)
        for places, width in self._buckets():
            q, k, v = self._split(padded[places], width)
            out = torch.empty_like(q)
            for block in self._blocks(width):
                weights = self._weights(q, k, block)
                out[:, block.queries] = torch.bmm(weights, v[:, block.keys])
            self._write(mixed[places], out, width)
        return self._layout.unpad(mixed)

    def backward(self, gradient: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
        """(rows, heads · size) → (rows, q | k | v)"""
        padded, spread = self._layout.pad(qkv), self._layout.spread(gradient)
        found = torch.empty_like(padded)
        for places, width in self._buckets():
            q, k, v = self._split(padded[places], width)
            upstream = self._by_key_head(spread[places], width)
            dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
            for block in reversed(list(self._blocks(width))):
                self._differentiate(block, upstream, (q, k, v), (dq, dk, dv))
            parts = torch.split(found[places], self._shape.widths, dim=1)
            for part, rows in zip(parts, (dq, dk, dv), strict=True):
                self._write(part, rows, width)
        # The places of padding hold zeros: no token with a gradient sees them.
        return self._layout.unpad(found)

    def _differentiate(
        self,
        block: _Block,
        upstream: torch.Tensor,
        qkv: tuple[torch.Tensor, ...],
        gradients: tuple[torch.Tensor, ...],
    ) -> None:
        """One block's share of the gradients of q, k and v; the last block, which sees every key,
        comes first and overwrites."""
        q, k, v = qkv
        dq, dk, dv = gradients
        queries, keys, scaling = block.queries, block.keys, self._shape.scaling
        weights = self._weights(q, k, block)
        out = upstream[:, queries]
        beta = 0 if keys.stop == k.shape[1] else 1
        dv[:, keys].baddbmm_(weights.transpose(1, 2), out, beta=beta)
        dweights = torch.bmm(out, v[:, keys].transpose(1, 2))
        dscores = torch._softmax_backward_data(dweights, weights, -1, weights.dtype)
        dq[:, queries].baddbmm_(dscores, k[:, keys], beta=0, alpha=scaling)
        dk[:, keys].baddbmm_(dscores.transpose(1, 2), q[:, queries], beta=beta, alpha=scaling)

    def _weights(self, q: torch.Tensor, k: torch.Tensor, block: _Block) -> torch.Tensor:
        """(B · key heads, queries · group, keys)"""
        keys = k[:, block.keys].transpose(1, 2)
        scores = torch.baddbmm(block.mask, q[:, block.queries], keys, alpha=self._shape.scaling)
        return torch.softmax(scores, dim=-1)

    def _buckets(self) -> Iterator[tuple[slice, int]]:
        start = 0
        for width, count in self._layout.buckets:
            yield slice(start, start + width * count), width
            start += width * count

    def _blocks(self, width: int) -> Iterator[_Block]:
        group = self._shape.group
        for start in range(0, width, _BLOCK):
            stop = min(start + _BLOCK, width)
            rows = slice(0, (stop - start) * group)
            first = self._triangle_start - start
            mask = self._mask[rows, first : first + stop]
            yield _Block(slice(start * group, stop * group), slice(0, stop), mask)

    def _split(self, rows: torch.Tensor, width: int) -> tuple[torch.Tensor, ...]:
        """(B · width, q | k | v) → q (B · key heads, width · group, size) and k, v alike."""
        parts = torch.split(rows, self._shape.widths, dim=1)
        return tuple(self._by_key_head(part, width) for part in parts)

    def _by_key_head(self, rows: torch.Tensor, width: int) -> torch.Tensor:
        """(B · width, heads · size) → (B · key heads, width · group, size)"""
        shape = self._shape
        apart = rows.view(-1, width, shape.key_heads, rows.shape[1] // shape.key_heads)
        return apart.transpose(1, 2).reshape(apart.shape[0] * shape.key_heads, -1, shape.size)

    def _write(self, rows: torch.Tensor, by_key_head: torch.Tensor, width: int) -> None:
        """The reverse of `_by_key_head`, into `rows`."""
        key_heads = self._shape.key_heads
        apart = rows.view(-1, width, key_heads, rows.shape[1] // key_heads)
        apart.copy_(by_key_head.view(apart.shape[0], key_heads, width, -1).transpose(1, 2))
