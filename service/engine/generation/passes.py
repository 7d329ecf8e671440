"""Streams into packed batches, and sampled tokens out of them."""

from collections.abc import Sequence

from service.engine.generation.kv_cache import KvCache
from service.engine.generation.paged_attention import PagedDecode, PagedPrefill, PrefillSegment
from service.engine.generation.sampling import sample
from service.engine.generation.stream import Stream
from service.engine.layers import AdapterSlots, RowPlan, ServedRuns, SlottedRows
from service.engine.runner import BaseRunner, PackedBatch

Sampled = list[tuple[Stream, int | None]]
"""The next token of each stream; None where the model's numbers are not finite."""


class StreamPasses:
    """Computes for one base; marks what is in the cache, decides nothing."""

    def __init__(self, runner: BaseRunner, cache: KvCache) -> None:
        self._runner = runner
        self._cache = cache
        base = runner.base
        self._slots = AdapterSlots(runner.linears, dtype=base.dtype, device=base.device)

    def decode(self, streams: Sequence[Stream]) -> Sampled:
        """The one pending token of each stream."""
        ordered, adapters = self._order(streams)
        lengths = [len(stream.tokens) for stream in ordered]
        batch = PackedBatch(
            self._runner.tensor([stream.tokens[-1] for stream in ordered]),
            self._runner.tensor([length - 1 for length in lengths]),
            PagedDecode(self._cache, lengths, [stream.blocks for stream in ordered]),
            adapters,
        )
        hidden = self._runner.hidden(batch)
        for stream in ordered:
            stream.computed += 1
        tokens = sample(self._runner.logits(hidden), [stream.draw for stream in ordered])
        return list(zip(ordered, tokens, strict=True))

    def prefill(self, streams: Sequence[Stream], budget: int) -> Sampled:
        """At most `budget` pending tokens, in the order given; samples where none is left."""
        chunks: list[tuple[Stream, int]] = []
        for stream in streams:
            count = min(stream.pending, budget)
            if count:
                chunks.append((stream, count))
                budget -= count
        hidden = self._runner.hidden(self._prefill_batch(chunks))
        complete: list[Stream] = []
        last_rows: list[int] = []
        row = 0
        for stream, count in chunks:
            row += count
            stream.computed += count
            if not stream.pending:
                complete.append(stream)
                last_rows.append(row - 1)
        if not complete:
            return []
        logits = self._runner.logits(hidden[last_rows])
        tokens = sample(logits, [stream.draw for stream in complete])
        return list(zip(complete, tokens, strict=True))

    def _prefill_batch(self, chunks: Sequence[tuple[Stream, int]]) -> PackedBatch:
        tokens: list[int] = []
        positions: list[int] = []
        segments: list[PrefillSegment] = []
        runs = []
        for stream, count in chunks:
            chunk = range(stream.computed, stream.computed + count)
            if stream.adapter is not None:
                runs.append((len(tokens), len(tokens) + count, stream.adapter))
            tokens += stream.tokens[chunk.start : chunk.stop]
            positions += chunk
            segments.append(PrefillSegment(count, stream.computed, stream.blocks))
        return PackedBatch(
            self._runner.tensor(tokens),
            self._runner.tensor(positions),
            PagedPrefill(self._cache, segments),
            ServedRuns(len(tokens), tuple(runs)) if runs else None,
        )

    def _order(self, streams: Sequence[Stream]) -> tuple[list[Stream], RowPlan | None]:
        """Streams of one adapter side by side, the base's last."""
        adapters = [stream.adapter for stream in streams if stream.adapter is not None]
        if not adapters:
            return list(streams), None
        slot_of = self._slots.place(adapters)
        slots = [None if s.adapter is None else slot_of[s.adapter] for s in streams]
        ordered = sorted(
            zip(streams, slots, strict=True), key=lambda pair: (pair[1] is None, pair[1] or 0)
        )
        return [s for s, _ in ordered], SlottedRows(self._slots, [slot for _, slot in ordered])
