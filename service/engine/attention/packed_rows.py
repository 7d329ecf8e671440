"""Attention of whole sequences packed one after the other, each seeing itself alone."""

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

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.layout = RowLayout(lengths, device)
        self._masks: dict[tuple[int, int | None], torch.Tensor] = {}

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
        query, key, value = (self._pad(part.transpose(0, 1)) for part in (query, key, value))
        mixed, start = [], 0
        for width, count in self.layout.buckets:
            rows = slice(start, start + width * count)
            start = rows.stop
            batch = (_as_batch(part[rows], width) for part in (query, key, value))
            mixed.append(self._attend_batch(*batch, options=options))
        padded = mixed[0] if len(mixed) == 1 else torch.cat(mixed)
        return self._unpad(padded)

    def _attend_batch(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        *,
        options: AttentionOptions,
    ) -> torch.Tensor:
        width = query.shape[2]
        if width <= _LONGEST_EXPLICIT or options.softcap is not None:
            visible = self._mask(width, options.sliding_window)
            mixed = explicit_attention(query, key, value, visible, options)
        else:
            mask = None if options.is_plain else self._mask(width, options.sliding_window)
            mixed = fused_attention(query, key, value, mask, options)
        return mixed.transpose(1, 2).flatten(0, 1)

    def _mask(self, width: int, window: int | None) -> torch.Tensor:
        if (width, window) not in self._masks:
            self._masks[width, window] = causal(width, width, window, self.layout.device)
        return self._masks[width, window]

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
