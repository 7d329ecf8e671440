"""What gives a row its features: a base under any adapter, or an embedding model."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

import torch

from service.core.engine_protocol import DeltaRef
from service.core.errors import InvalidRequest
from service.engine.attention import PackedRows
from service.engine.embedding import LoadedEmbedder
from service.engine.generation.resident_adapters import ResidentAdapters, ServedModel
from service.engine.heads import pool, pooled_places
from service.engine.heads.pooling import Pooling
from service.engine.layers import ServedAdapter, ServedRuns
from service.engine.parts import AdapterSource, DeltaWeights
from service.engine.runner import PackedBatch
from service.engine.variants import Variants


class RowReader(Protocol):
    """Of one base or embedding model. Used by the step loop alone."""

    @property
    def size(self) -> int:
        """Features of a row."""

    @property
    def device(self) -> torch.device: ...

    @property
    def context_length(self) -> int: ...

    @property
    def vocabulary(self) -> int: ...

    def equip(self, delta: DeltaRef, loading: Future[DeltaWeights]) -> ServedModel | None:
        """What a delta's rows are computed with; rows with the same runner share a pass.

        Raises AdapterCorrupt and InvalidRequest for one that does not fit.
        """

    def features(
        self,
        rows: Sequence[Sequence[int]],
        models: Sequence[ServedModel | None],
        poolings: Sequence[Pooling],
    ) -> torch.Tensor:
        """(rows, size) fp32."""


class BaseReader:
    """A base, or a variant of it, its rows packed."""

    def __init__(self, variants: Variants, source: AdapterSource) -> None:
        self._runner = variants.get(None)
        self._adapters = ResidentAdapters(variants, source)

    @property
    def size(self) -> int:
        return int(self._runner.base.model.config.get_text_config().hidden_size)

    @property
    def device(self) -> torch.device:
        return self._runner.base.device

    @property
    def context_length(self) -> int:
        return self._runner.base.context_length

    @property
    def vocabulary(self) -> int:
        return self._runner.vocabulary

    def equip(self, delta: DeltaRef, loading: Future[DeltaWeights]) -> ServedModel | None:
        return self._adapters.cast(delta, loading)

    def features(
        self,
        rows: Sequence[Sequence[int]],
        models: Sequence[ServedModel | None],
        poolings: Sequence[Pooling],
    ) -> torch.Tensor:
        runner = models[0].runner if models[0] else self._runner
        lengths = [len(row) for row in rows]
        starts = [sum(lengths[:at]) for at in range(len(rows))]
        adapters = [model.adapter if model else None for model in models]
        batch = PackedBatch(
            runner.tensor([token for row in rows for token in row]),
            runner.tensor([at for length in lengths for at in range(length)]),
            PackedRows(lengths, runner.base.device),
            _plan(starts, lengths, adapters),
        )
        hidden = runner.hidden(batch)
        pooled = []
        for start, length, pooling in zip(starts, lengths, poolings, strict=True):
            places = pooled_places([start], [length], pooling)
            pooled.append(pool(hidden[places].float(), [length], pooling))
        return torch.cat(pooled)


class EmbedderReader:
    """An embedding model: its own pooling gives the features."""

    def __init__(self, embedder: LoadedEmbedder) -> None:
        self._embedder = embedder

    @property
    def size(self) -> int:
        return self._embedder.state.dimensions

    @property
    def device(self) -> torch.device:
        return self._embedder.device

    @property
    def context_length(self) -> int:
        return self._embedder.state.context_length

    @property
    def vocabulary(self) -> int:
        return self._embedder.vocabulary

    def equip(self, delta: DeltaRef, loading: Future[DeltaWeights]) -> ServedModel | None:
        loaded = loading.result()
        if loaded.adapter is not None or loaded.overlay is not None:
            raise InvalidRequest(f"model {delta.id} changes weights that an embedding model lacks")
        return None

    def features(
        self,
        rows: Sequence[Sequence[int]],
        models: Sequence[ServedModel | None],
        poolings: Sequence[Pooling],
    ) -> torch.Tensor:
        del models, poolings
        return self._embedder.features(rows)


def _plan(
    starts: Sequence[int], lengths: Sequence[int], adapters: Sequence[ServedAdapter | None]
) -> ServedRuns | None:
    """Neighbouring rows of one adapter are one run."""
    runs: list[tuple[int, int, ServedAdapter]] = []
    for start, length, adapter in zip(starts, lengths, adapters, strict=True):
        if adapter is None:
            continue
        if runs and runs[-1][2] is adapter and runs[-1][1] == start:
            runs[-1] = (runs[-1][0], start + length, adapter)
        else:
            runs.append((start, start + length, adapter))
    return ServedRuns(sum(lengths), tuple(runs)) if runs else None
