"""Causal attention of packed rows, explicit, a block of queries at a time.

A block sees the keys up to its own last token, so half of a long row's scores are never computed,
and no more than one block's scores exist at once. The backward computes them again from q and k.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from service.engine.attention import Bucket, RowLayout

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
    """Of the prefix and the queries' own sequence."""
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
        self._triangle_start = max(
            (b.prefix_length + (b.width - 1) // _BLOCK * _BLOCK for b in layout.buckets), default=0
        )
        zeros = triangle.new_zeros(block, self._triangle_start)
        mask = torch.cat([zeros, triangle.triu_(1)], dim=1)
        self._mask = mask.repeat_interleave(shape.group, dim=0)

    def forward(self, qkv: torch.Tensor) -> torch.Tensor:
        """(rows, q | k | v) → (rows, heads · size)"""
        padded = self._layout.pad(qkv)
        mixed = padded.new_empty(padded.shape[0], self._shape.heads * self._shape.size)
        for bucket in self._layout.buckets:
            q, k, v = self._gather(padded, qkv, bucket)
            out = torch.empty_like(q)
            for block in self._blocks(bucket):
                weights = self._weights(q, k, block)
                out[:, block.queries] = torch.bmm(weights, v[:, block.keys])
            self._write(mixed[bucket.places], out, bucket.width)
        return self._layout.unpad(mixed)

    def backward(self, gradient: torch.Tensor, qkv: torch.Tensor) -> torch.Tensor:
        """(rows, heads · size) → (rows, q | k | v)"""
        padded, spread = self._layout.pad(qkv), self._layout.spread(gradient)
        found = torch.empty_like(padded)
        shared: list[tuple[slice, list[torch.Tensor]]] = []
        for bucket in self._layout.buckets:
            q, k, v = self._gather(padded, qkv, bucket)
            upstream = self._by_key_head(spread[bucket.places], bucket.width)
            dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
            for block in reversed(list(self._blocks(bucket))):
                self._differentiate(block, upstream, (q, k, v), (dq, dk, dv))
            own = [dq, dk[:, bucket.prefix_length :], dv[:, bucket.prefix_length :]]
            parts = torch.split(found[bucket.places], self._shape.widths, dim=1)
            for part, rows in zip(parts, own, strict=True):
                self._write(part, rows, bucket.width)
            if bucket.prefix_length:
                shared.append((bucket.prefix, [self._sum_prefix(d, bucket) for d in (dk, dv)]))
        # The places of padding hold zeros: no token with a gradient sees them.
        result = self._layout.unpad(found)
        for prefix, gradients in shared:
            parts = torch.split(result[prefix], self._shape.widths, dim=1)
            for part, summed in zip(parts[1:], gradients, strict=True):
                part += summed
        return result

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

    def _blocks(self, bucket: Bucket) -> Iterator[_Block]:
        group = self._shape.group
        for start in range(0, bucket.width, _BLOCK):
            stop = min(start + _BLOCK, bucket.width)
            keys = slice(0, bucket.prefix_length + stop)
            first = self._triangle_start - bucket.prefix_length - start
            mask = self._mask[: (stop - start) * group, first : first + keys.stop]
            yield _Block(slice(start * group, stop * group), keys, mask)

    def _gather(
        self, padded: torch.Tensor, qkv: torch.Tensor, bucket: Bucket
    ) -> tuple[torch.Tensor, ...]:
        """q (B · key heads, width · group, size); k and v (B · key heads, prefix + width, size)."""
        parts = torch.split(padded[bucket.places], self._shape.widths, dim=1)
        q, k, v = (self._by_key_head(part, bucket.width) for part in parts)
        if bucket.prefix_length:
            prefixes = torch.split(qkv[bucket.prefix], self._shape.widths, dim=1)[1:]
            k, v = (
                torch.cat([self._repeat(prefix, bucket.count), own], dim=1)
                for prefix, own in zip(prefixes, (k, v), strict=True)
            )
        return q, k, v

    def _repeat(self, prefix: torch.Tensor, count: int) -> torch.Tensor:
        """(P, key heads · size) → (count · key heads, P, size)"""
        apart = self._by_key_head(prefix, prefix.shape[0])
        return apart.expand(count, *apart.shape).flatten(0, 1)

    def _sum_prefix(self, gradient: torch.Tensor, bucket: Bucket) -> torch.Tensor:
        """What all sequences of a bucket tell of its prefix: (P, key heads · size)"""
        apart = gradient[:, : bucket.prefix_length].view(
            bucket.count, self._shape.key_heads, bucket.prefix_length, self._shape.size
        )
        return apart.sum(0).transpose(0, 1).flatten(1)

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
