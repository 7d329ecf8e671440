"""Attention over the paged key/value cache: chunks of prompts, and one token of many streams."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.engine.attention import AttentionOptions, attention, causal
from service.engine.generation.kv_cache import NULL_BLOCK, KvCache


@dataclass(frozen=True)
class PrefillSegment:
    """The next tokens of one prompt."""

    tokens: int
    past: int
    """Tokens of the same stream already in the cache."""
    blocks: Sequence[int]


class PagedPrefill:
    """Every segment sees its stream's past and itself."""

    def __init__(self, cache: KvCache, segments: Sequence[PrefillSegment]) -> None:
        self._cache = cache
        self._segments = segments
        size = cache.block_tokens
        self._tables = [
            torch.tensor(s.blocks[: -(-(s.past + s.tokens) // size)], device=cache.device)
            for s in segments
        ]
        places = [
            s.blocks[i // size] * size + i % size
            for s in segments
            for i in range(s.past, s.past + s.tokens)
        ]
        self._places = torch.tensor(places, device=cache.device)
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
        self._cache.write(layer, self._places, key.transpose(0, 1), value.transpose(0, 1))
        mixed, start = [], 0
        for index, segment in enumerate(self._segments):
            rows = slice(start, start + segment.tokens)
            start = rows.stop
            keys, values = key[:, rows], value[:, rows]
            if segment.past:
                keys, values = self._read(layer, index)
            visible = None if not segment.past and options.is_plain else self._mask(index, options)
            parts = (part.unsqueeze(0) for part in (query[:, rows], keys, values))
            mixed.append(attention(*parts, visible=visible, options=options)[0])
        return torch.cat(mixed, dim=1).transpose(0, 1)

    def _read(self, layer: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        segment = self._segments[index]
        keys, values = self._cache.read(layer, self._tables[index][None])
        length = segment.past + segment.tokens
        return keys[0, :length].transpose(0, 1), values[0, :length].transpose(0, 1)

    def _mask(self, index: int, options: AttentionOptions) -> torch.Tensor:
        window = options.sliding_window
        if (index, window) not in self._masks:
            segment = self._segments[index]
            keys = segment.past + segment.tokens
            self._masks[index, window] = causal(segment.tokens, keys, window, self._cache.device)
        return self._masks[index, window]


class PagedDecode:
    """One query a stream. Streams of similar length are read as one padded batch."""

    def __init__(
        self, cache: KvCache, lengths: Sequence[int], blocks: Sequence[Sequence[int]]
    ) -> None:
        """`lengths` count the token being computed; `blocks` hold at least that many."""
        self._cache = cache
        size = cache.block_tokens
        self._places = torch.tensor(
            [
                b[(n - 1) // size] * size + (n - 1) % size
                for n, b in zip(lengths, blocks, strict=True)
            ],
            device=cache.device,
        )
        self._groups = [
            _DecodeGroup(cache, rows, [lengths[i] for i in rows], [blocks[i] for i in rows])
            for rows in _similar_lengths([-(-n // size) for n in lengths])
        ]
        order = [row for group in self._groups for row in group.rows]
        self._restore: torch.Tensor | None = None
        if len(self._groups) > 1:
            self._restore = torch.tensor(order, device=cache.device).argsort()

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        options: AttentionOptions,
    ) -> torch.Tensor:
        """See PackedAttention."""
        self._cache.write(layer, self._places, key.transpose(0, 1), value.transpose(0, 1))
        by_row = query.transpose(0, 1)  # (streams, heads, size)
        if self._restore is None:
            return self._groups[0].attend(layer, by_row, options)
        mixed = [g.attend(layer, by_row.index_select(0, g.index), options) for g in self._groups]
        return torch.cat(mixed).index_select(0, self._restore)


class _DecodeGroup:
    def __init__(
        self,
        cache: KvCache,
        rows: Sequence[int],
        lengths: Sequence[int],
        blocks: Sequence[Sequence[int]],
    ) -> None:
        self.rows = rows
        self.index = torch.tensor(rows, device=cache.device)
        self._cache = cache
        width = -(-max(lengths) // cache.block_tokens)
        table = [[*b[:width], *[NULL_BLOCK] * (width - len(b[:width]))] for b in blocks]
        self._table = torch.tensor(table, device=cache.device)
        self._lengths = torch.tensor(lengths, device=cache.device)[:, None]
        self._position = torch.arange(width * cache.block_tokens, device=cache.device)[None]
        self._masks: dict[int | None, torch.Tensor] = {}

    def attend(self, layer: int, query: torch.Tensor, options: AttentionOptions) -> torch.Tensor:
        """(streams, heads, size) → (streams, heads, size)"""
        keys, values = (part.transpose(1, 2) for part in self._cache.read(layer, self._table))
        # The heads that share a key head become its queries, so keys need no repetition.
        grouped = query.reshape(query.shape[0], keys.shape[1], -1, query.shape[-1])
        mask = self._mask(options.sliding_window)
        mixed = attention(grouped, keys, values, visible=mask, options=options)
        return mixed.reshape(*query.shape[:2], -1)

    def _mask(self, window: int | None) -> torch.Tensor:
        """(streams, 1, 1, positions)"""
        if window not in self._masks:
            visible = self._position < self._lengths
            if window is not None:
                visible = visible & (self._position >= self._lengths - window)
            self._masks[window] = visible[:, None, None, :]
        return self._masks[window]


def _similar_lengths(block_counts: Sequence[int]) -> list[list[int]]:
    """Rows grouped so that padding at most quadruples what a group reads."""
    groups: dict[int, list[int]] = {}
    for row, count in enumerate(block_counts):
        groups.setdefault((max(count, 8) - 1).bit_length() // 2, []).append(row)
    return list(groups.values())
