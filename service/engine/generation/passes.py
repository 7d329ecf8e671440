"""Streams into packed batches, and sampled tokens out of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import TokenLogprob
from service.engine.generation.kv_cache import KvCache
from service.engine.generation.logprobs import log_probabilities, pieces, report
from service.engine.generation.paged_attention import PagedDecode, PagedPrefill, PrefillSegment
from service.engine.generation.sampling import sample
from service.engine.generation.stream import Stream
from service.engine.layers import AdapterSlots, RowPlan, ServedRuns, SlottedRows
from service.engine.runner import BaseRunner, PackedBatch


@dataclass(frozen=True)
class Sampled:
    """What a pass found for one stream."""

    stream: Stream
    token: int | None
    """The next one; None where the model's numbers are not finite."""
    logprob: TokenLogprob | None = None


@dataclass(frozen=True)
class Scored:
    """Log-probabilities of the next tokens of a stream's prompt."""

    stream: Stream
    logprobs: tuple[TokenLogprob, ...]


class StreamPasses:
    """Computes for one base; marks what is in the cache, decides nothing."""

    def __init__(self, runner: BaseRunner, cache: KvCache) -> None:
        self._runner = runner
        self._cache = cache
        base = runner.base
        self._slots = AdapterSlots(runner.linears, dtype=base.dtype, device=base.device)

    def decode(self, streams: Sequence[Stream]) -> list[Sampled]:
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
        return _choose(self._runner.logits(hidden), ordered)

    def prefill(self, streams: Sequence[Stream], budget: int) -> tuple[list[Scored], list[Sampled]]:
        """At most `budget` pending tokens, in the order given; samples where none is left."""
        chunks: list[tuple[Stream, int]] = []
        for stream in streams:
            count = min(stream.pending, budget)
            if count:
                chunks.append((stream, count))
                budget -= count
        hidden = self._runner.hidden(self._prefill_batch(chunks))
        scored = self._score_prompts(hidden, chunks)
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
            return scored, []
        return scored, _choose(self._runner.logits(hidden[last_rows]), complete)

    def _score_prompts(
        self, hidden: torch.Tensor, chunks: Sequence[tuple[Stream, int]]
    ) -> list[Scored]:
        """Of the streams that ask for it; a prompt that is computed again is not told again."""
        found = []
        row = 0
        for stream, count in chunks:
            sampling = stream.request.sampling
            if sampling.prompt_logprobs:
                # The row of position p tells of the token at p + 1.
                end = min(stream.computed + count + 1, len(stream.request.tokens))
                first = row + stream.scored - 1 - stream.computed
                targets = stream.request.tokens[stream.scored : end]
                rows = hidden[first : first + len(targets)]
                entries = self._score(rows, targets, sampling.top_logprobs or 0)
                stream.scored = max(end, stream.scored)
                found.append(Scored(stream, tuple(entries)))
            row += count
        return found

    def _score(self, hidden: torch.Tensor, targets: Sequence[int], top: int) -> list[TokenLogprob]:
        entries: list[TokenLogprob] = []
        for part in pieces(len(targets)):
            logprobs = log_probabilities(self._runner.logits(hidden[part]))
            wanted = targets[part]
            entries += report(logprobs, wanted, [top] * len(wanted))
        return entries

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


def _choose(logits: torch.Tensor, streams: Sequence[Stream]) -> list[Sampled]:
    """A token for each row of (rows, vocabulary), which rules of streams change in place."""
    reporting = [row for row, stream in enumerate(streams) if stream.reports]
    own = log_probabilities(logits[reporting]) if reporting else None
    for row, stream in enumerate(streams):
        if stream.rules is not None:
            stream.rules.apply(logits[row])
    tokens = sample(logits, [stream.draw for stream in streams])
    entries: dict[int, TokenLogprob] = {}
    if own is not None:
        drawn = [tokens[row] or 0 for row in reporting]
        top = [streams[row].request.sampling.top_logprobs or 0 for row in reporting]
        entries = dict(zip(reporting, report(own, drawn, top), strict=True))
    return [
        Sampled(stream, token, entries.get(row))
        for row, (stream, token) in enumerate(zip(streams, tokens, strict=True))
    ]
