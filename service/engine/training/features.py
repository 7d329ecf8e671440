"""Features of rows that a head alone is trained on: computed once, used every epoch."""

import hashlib
from array import array
from collections.abc import Callable, Sequence

import torch

from service.core.engine_protocol import HeadSpec
from service.engine.attention import PackedRows
from service.engine.heads import pool, pooled_places
from service.engine.layers import TrainedRuns
from service.engine.runner import PackedBatch
from service.engine.training.weights import RowWeights

Tokens = Sequence[int]
ComputeFeatures = Callable[[Sequence[Tokens]], torch.Tensor]
"""(rows, size) fp32, without a gradient."""

_MAX_BYTES = 256 * 1024**2
"""116,000 rows of SmolLM2."""


class FeatureCache:
    """By the row's tokens: lines of the training and of the validation file have the same numbers.

    Full, it takes no more and drops none: an epoch asks for its rows in turn, so the least recently
    used one is always the next to be asked for.
    """

    def __init__(self, compute: ComputeFeatures, *, max_bytes: int = _MAX_BYTES) -> None:
        self._compute = compute
        self._room = max_bytes
        self.computed_tokens = 0
        """Of all rows that were computed rather than found."""
        self._held: dict[bytes, torch.Tensor] = {}

    def get(self, rows: Sequence[Tokens]) -> torch.Tensor:
        """(rows, size) fp32, without a gradient."""
        # What is computed while measuring is used in training, too: no inference tensors.
        with torch.inference_mode(False), torch.no_grad():
            return self._get(rows)

    def _get(self, rows: Sequence[Tokens]) -> torch.Tensor:
        keys = [_key(row) for row in rows]
        found = {key: self._held[key] for key in keys if key in self._held}
        missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in found}
        if missing:
            fresh = self._compute(list(missing.values()))
            self.computed_tokens += sum(map(len, missing.values()))
            for key, feature in zip(missing, fresh, strict=True):
                found[key] = feature.clone()
                if feature.nbytes <= self._room:
                    self._room -= feature.nbytes
                    self._held[key] = found[key]
        return torch.stack([found[key] for key in keys])


def base_features(weights: RowWeights, spec: HeadSpec) -> ComputeFeatures:
    """Pooled hidden states of a base, or of what a session began with."""

    def compute(rows: Sequence[Tokens]) -> torch.Tensor:
        runner = weights.runner
        lengths = [len(row) for row in rows]
        starts = [sum(lengths[:at]) for at in range(len(rows))]
        batch = PackedBatch(
            runner.tensor([token for row in rows for token in row]),
            runner.tensor([at for length in lengths for at in range(length)]),
            PackedRows(lengths, runner.base.device),
            TrainedRuns((weights.run(sum(lengths)),)),
        )
        states = runner.hidden(batch)[pooled_places(starts, lengths, spec.pooling)]
        return pool(states.float(), lengths, spec.pooling)

    return compute


def _key(row: Tokens) -> bytes:
    return hashlib.blake2b(array("q", row).tobytes(), digest_size=16).digest()
