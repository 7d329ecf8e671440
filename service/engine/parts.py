"""What the step loop is given by the rest of the engine: bases, adapters, a place to save, limits.

The loop computes; it opens no file and no connection. `AdapterSource` and `AdapterSink` hide RAM,
disk and the object store, and run whatever is slow on threads of their own.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from transformers import PreTrainedModel

from service.core.engine_protocol import (
    DeltaRef,
    EngineRole,
    LoraTuning,
    ResumePoint,
    StoredFile,
)
from service.core.text import TextAssets


@dataclass(frozen=True)
class LoraPair:
    """The two factors of one linear layer's adapter, fp32."""

    a: torch.Tensor
    """(rank, in_features)"""
    b: torch.Tensor
    """(out_features, rank)"""


@dataclass(frozen=True)
class AdapterWeights:
    """A LoRA as it is served, or taken from a training session."""

    id: str
    digest: str
    """sha256 of its manifest, hex; empty while no manifest exists."""
    tuning: LoraTuning
    scaling: float
    """Factor on B·A: alpha / rank, or alpha / √rank."""
    modules: Mapping[str, LoraPair]
    """By module name in the base, such as `model.layers.0.self_attn.q_proj`."""

    @property
    def nbytes(self) -> int:
        """Bytes of all factors."""
        return sum(pair.a.nbytes + pair.b.nbytes for pair in self.modules.values())


@dataclass(frozen=True)
class TrainingState:
    """What `store_state` wrote: weights and moments by name, on the CPU, and whose they are."""

    tensors: Mapping[str, torch.Tensor]
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class LoadedBase:
    """A base model on its device, in eval mode, no parameter requiring a gradient."""

    name: str
    digest: str
    """sha256 over source and conversion recipe, hex."""
    text_key: str
    """S3 key of its `TextAssets` JSON."""
    dtype: torch.dtype
    device: torch.device
    context_length: int
    """Tokens, prompt and answer together."""
    model: PreTrainedModel
    text: TextAssets | None = None
    """Its tokenizer, for guided answers alone; without it there are none."""
    folder: Path | None = None
    """Where its files lie, for exports alone; without it there are none."""


class AdapterSource(Protocol):
    """The adapter store: RAM over disk over S3, verified against the digest. Thread-safe."""

    def get_loaded(self, ref: DeltaRef) -> AdapterWeights | None:
        """The adapter if it is in RAM, at once; marks it used."""

    def load(self, ref: DeltaRef) -> Future[AdapterWeights]:
        """Fetch in the background. Fails with AdapterCorrupt or StorageUnavailable, and with
        UnsupportedParameter for a kind of adapter that is not served."""

    def pin(self, ref: DeltaRef) -> None:
        """Keep it in RAM until as many `unpin` calls; allowed before it is loaded."""

    def unpin(self, ref: DeltaRef) -> None:
        """Undo one `pin`."""

    def loaded_ids(self) -> tuple[str, ...]:
        """Ids in RAM, most recently used first."""

    def load_state(self, point: ResumePoint) -> TrainingState:
        """Fetch a training state; blocks. Raises AdapterCorrupt, StorageUnavailable."""


class AdapterSink(Protocol):
    """Where `save` goes. Called on a background thread; may take seconds."""

    def store_adapter(
        self, key_prefix: str, weights: AdapterWeights, *, base: LoadedBase, job: str, step: int
    ) -> tuple[StoredFile, ...]:
        """Write PEFT files under `{key_prefix}adapter/`; raises StorageUnavailable.

        `key_prefix` ends in `/`; names of the returned files are relative to it.
        """

    def store_state(
        self, key_prefix: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
    ) -> tuple[StoredFile, ...]:
        """Write safetensors under `{key_prefix}state/`; raises StorageUnavailable."""


@dataclass(frozen=True)
class EngineLimits:
    """Sizes of one engine, from the settings."""

    training_slots: int = 8
    micro_batch_tokens: int = 512
    """A job's rows are cut to this size by that job alone."""
    merged_tokens: int = 4096
    """Upper bound of whole micro-batches of several jobs merged into one pass …"""
    streaming_merged_tokens: int = 512
    """… and while a stream is open, so that the next token is not kept waiting."""
    prefill_chunk_tokens: int = 512
    """Prompt tokens computed in one step, over all streams."""
    max_streams: int = 64
    """Streams decoded at once."""
    max_waiting: int = 256
    """Streams waiting for a place; beyond it: EngineOverloaded."""
    kv_cache_tokens: int = 65_536
    """Positions in each base's paged cache."""
    kv_block_tokens: int = 16
    session_seconds: float = 60.0
    """A session silent for this long is closed."""


@dataclass(frozen=True)
class EngineIdentity:
    """How this engine is known to the registry."""

    id: str
    url: str
    pool: str
    roles: tuple[EngineRole, ...] = (EngineRole.TRAIN, EngineRole.SERVE)
