"""Attention of whole sequences packed one after the other, each seeing itself alone."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch

from service.engine.attention.interface import AttentionOptions
from service.engine.attention.scores import causal, explicit_attention, fused_attention

_LONGEST_EXPLICIT = 1024
"""Beyond this many tokens the scores of one sequence cost more memory than the slower fused
kernel costs time."""
_SHORTEST_BUCKET = 32


class PackedRows:
    """For training and measuring: sequences of similar length are padded to one batch.

    A place of padding repeats the last token of its own sequence, so nothing of a neighbour, a NaN
    least of all, comes near.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self._device = device
        self._buckets = _sort_into_buckets(lengths)
        starts = [sum(lengths[:i]) for i in range(len(lengths))]
        padded: list[int] = []
        place = [0] * sum(lengths)
        for width, members in self._buckets:
            for member in members:
                rows = [starts[member] + min(i, lengths[member] - 1) for i in range(width)]
                for i in range(lengths[member]):
                    place[starts[member] + i] = len(padded) + i
                padded += rows
        self._needs_padding = padded != list(range(len(place)))
        self._padded = torch.tensor(padded, device=device)
        self._place = torch.tensor(place, device=device)
        self._is_real = torch.zeros(len(padded), dtype=torch.bool, device=device)
        self._is_real[self._place] = True
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
        for width, members in self._buckets:
            rows = slice(start, start + width * len(members))
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
            self._masks[width, window] = causal(width, width, window, self._device)
        return self._masks[width, window]

    def _pad(self, rows: torch.Tensor) -> torch.Tensor:
        if not self._needs_padding:
            return rows
        padded: torch.Tensor = _Pad.apply(rows, self._padded, self._place)  # type: ignore[no-untyped-call]
        return padded

    def _unpad(self, padded: torch.Tensor) -> torch.Tensor:
        if not self._needs_padding:
            return padded
        rows: torch.Tensor = _Unpad.apply(  # type: ignore[no-untyped-call]
            padded, self._padded, self._place, self._is_real
        )
        return rows


def _sort_into_buckets(lengths: Sequence[int]) -> list[tuple[int, list[int]]]:
    """(padded length, members); the padded length is no longer than the longest member."""
    members: dict[int, list[int]] = defaultdict(list)
    for index, length in enumerate(lengths):
        bucket = max(_SHORTEST_BUCKET, 1 << (length - 1).bit_length())
        members[bucket].append(index)
    return [(max(lengths[i] for i in group), group) for group in members.values()]


def _as_batch(rows: torch.Tensor, width: int) -> torch.Tensor:
    """(B * width, heads, size) → (B, heads, width, size)"""
    return rows.reshape(-1, width, *rows.shape[1:]).transpose(1, 2)


class _Pad(torch.autograd.Function):
    """Gather; the gradient is a gather too, for the places of padding receive none."""

    @staticmethod
    def forward(
        ctx: Any, rows: torch.Tensor, padded: torch.Tensor, place: torch.Tensor
    ) -> torch.Tensor:
        ctx.save_for_backward(place)
        return rows.index_select(0, padded)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (place,) = ctx.saved_tensors
        return gradients[0].index_select(0, place), None, None


class _Unpad(torch.autograd.Function):
    """The reverse gather; what was computed for padding gets no gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        batch: torch.Tensor,
        padded: torch.Tensor,
        place: torch.Tensor,
        is_real: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(padded, is_real)
        return batch.index_select(0, place)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        padded, is_real = ctx.saved_tensors
        spread = gradients[0].index_select(0, padded)
        return torch.where(is_real[:, None, None], spread, 0), None, None, None
