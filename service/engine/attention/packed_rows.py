"""Attention of whole sequences packed one after the other, each seeing itself and its prefix."""

from collections.abc import Sequence
from typing import Any

import torch

from service.engine.attention.interface import AttentionOptions
from service.engine.attention.row_layout import RowLayout
from service.engine.attention.scores import causal, explicit_attention, fused_attention

_LONGEST_EXPLICIT = 1024
"""Beyond this many tokens the scores of one sequence cost more memory than the slower fused
kernel costs time."""


class PackedRows:
    """For training and measuring, in the batches of a RowLayout."""

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device,
        prefixes: Sequence[int | None] | None = None,
    ) -> None:
        """See RowLayout."""
        self.layout = RowLayout(lengths, device, prefixes)
        self._masks: dict[tuple[int, int, int | None], torch.Tensor] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        options: AttentionOptions,
    ) -> torch.Tensor:
        """See PackedAttention."""
        del layer
        rows = [part.transpose(0, 1) for part in (query, key, value)]  # (rows, heads, size)
        padded = [self._pad(part) for part in rows]
        mixed = []
        for bucket in self.layout.buckets:
            own = [_as_batch(part[bucket.places], bucket.width) for part in padded]
            if bucket.prefix_length:
                own[1:] = [
                    _behind(part[bucket.prefix], batch)
                    for part, batch in zip(rows[1:], own[1:], strict=True)
                ]
            mixed.append(self._attend_batch(*own, options=options))
        return self._unpad(mixed[0] if len(mixed) == 1 else torch.cat(mixed))

    def _attend_batch(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        options: AttentionOptions,
    ) -> torch.Tensor:
        queries, keys = query.shape[2], key.shape[2]
        if keys <= _LONGEST_EXPLICIT or options.softcap is not None:
            visible = self._mask(queries, keys, options.sliding_window)
            mixed = explicit_attention(query, key, value, visible, options)
        else:
            is_square = options.is_plain and queries == keys
            mask = None if is_square else self._mask(queries, keys, options.sliding_window)
            mixed = fused_attention(query, key, value, mask, options)
        return mixed.transpose(1, 2).flatten(0, 1)

    def _mask(self, queries: int, keys: int, window: int | None) -> torch.Tensor:
        wanted = queries, keys, window
        if wanted not in self._masks:
            self._masks[wanted] = causal(queries, keys, window, self.layout.device)
        return self._masks[wanted]

    def _pad(self, rows: torch.Tensor) -> torch.Tensor:
        if not self.layout.needs_padding:
            return rows
        padded: torch.Tensor = _Pad.apply(rows, self.layout)  # type: ignore[no-untyped-call]
        return padded

    def _unpad(self, padded: torch.Tensor) -> torch.Tensor:
        if not self.layout.needs_padding:
            return padded
        rows: torch.Tensor = _Unpad.apply(padded, self.layout)  # type: ignore[no-untyped-call]
        return rows


def _as_batch(rows: torch.Tensor, width: int) -> torch.Tensor:
    """(B * width, heads, size) → (B, heads, width, size)"""
    return rows.reshape(-1, width, *rows.shape[1:]).transpose(1, 2)


def _behind(prefix: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
    """(P, heads, size) before each of (B, heads, width, size)."""
    shared = prefix.transpose(0, 1).expand(batch.shape[0], -1, -1, -1)
    return torch.cat([shared, batch], dim=2)


class _Pad(torch.autograd.Function):
    """Gather; the gradient is a gather too, for the places of padding receive none."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, layout: RowLayout) -> torch.Tensor:
        ctx.layout = layout
        return layout.pad(rows)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.layout.unpad(gradients[0]), None


class _Unpad(torch.autograd.Function):
    """The reverse gather; what was computed for padding gets no gradient."""

    @staticmethod
    def forward(ctx: Any, batch: torch.Tensor, layout: RowLayout) -> torch.Tensor:
        ctx.layout = layout
        return layout.unpad(batch)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.layout.spread(gradients[0]), None
