"""What the step loop is given by the rest of the engine: bases, adapters, a place to save, limits.

The loop computes; it opens no file and no connection. `AdapterSource` and `AdapterSink` hide RAM,
disk and the object store, and run whatever is slow on threads of their own.
"""

from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from transformers import PreTrainedModel

from service.core.engine_protocol import (
    DeltaRef,
    EngineRole,
    HeadSpec,
    LoraTuning,
    ResumePoint,
    StoredFile,
)
from service.core.manifest import ManifestFile
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
    magnitudes: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Of a DoRA: (out_features) of each module, fp32. Empty for a plain LoRA."""

    @property
    def nbytes(self) -> int:
        """Bytes of all factors."""
        pairs = sum(pair.a.nbytes + pair.b.nbytes for pair in self.modules.values())
        return pairs + sum(magnitude.nbytes for magnitude in self.magnitudes.values())


@dataclass(frozen=True, eq=False)
class OverlayWeights:
    """Tensors of a base that were replaced, by parameter name."""

    tensors: Mapping[str, torch.Tensor]
    sha256: str
    """Of the file: overlays with the same bytes are one."""

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())


@dataclass(frozen=True)
class HeadWeights:
    """A head as it is served."""

    spec: HeadSpec
    temperature: float
    """Divides a classification's logits."""
    tensors: Mapping[str, torch.Tensor]
    """fp32, by the head's own names."""

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())


@dataclass(frozen=True)
class DeltaWeights:
    """A stored difference from a base, or one taken from a training session: an overlay below, an
    adapter on it, a head on top; any of them may be missing."""

    id: str
    digest: str
    """sha256 of its manifest, hex; empty while no manifest exists."""
    overlay: OverlayWeights | None = None
    adapter: AdapterWeights | None = None
    head: HeadWeights | None = None
    files: Mapping[str, ManifestFile] = field(default_factory=dict)
    """Stored files of its parts by name. When it is saved, these are shared instead of written."""

    @property
    def nbytes(self) -> int:
        parts = (self.overlay, self.adapter, self.head)
        return sum(part.nbytes for part in parts if part is not None)


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

    def get_loaded(self, ref: DeltaRef) -> DeltaWeights | None:
        """The delta if it is in RAM, at once; marks it used."""

    def load(self, ref: DeltaRef) -> Future[DeltaWeights]:
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

    def store_delta(
        self, key_prefix: str, delta: DeltaWeights, *, base: LoadedBase, job: str, step: int
    ) -> tuple[StoredFile, ...]:
        """Write its parts under `{key_prefix}adapter/`, an adapter as PEFT files; raises
        StorageUnavailable.

        `key_prefix` ends in `/`; names of the returned files are relative to it. A file that the
        delta shares is returned with the key where it lies.
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
    activation_bytes: int = 4 * 1024**3
    """A pass that would keep more for its backward computes its layers again instead."""
    overlay_memory_bytes: int = 4 * 1024**3
    """Variants of each base kept when nobody uses them."""
    session_seconds: float = 60.0
    """A session silent for this long is closed."""


@dataclass(frozen=True)
class EngineIdentity:
    """How this engine is known to the registry."""

    id: str
    url: str
    pool: str
    roles: tuple[EngineRole, ...] = (EngineRole.TRAIN, EngineRole.SERVE)
