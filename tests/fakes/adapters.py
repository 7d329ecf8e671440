"""An adapter store and an export in memory, at the engine's seams. Imports torch."""

import hashlib
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace

import torch
from safetensors.torch import save

from service.core.engine_protocol import DeltaRef, ResumePoint, StoredFile
from service.core.errors import AdapterCorrupt, ServiceError, StorageUnavailable
from service.core.manifest import ManifestFile
from service.engine.export.sink import delta_files
from service.engine.parts import AdapterWeights, DeltaWeights, LoadedBase, TrainingState


class FakeAdapterSource:
    """Adapters put here are served. `hold()` keeps loads waiting until `release()`."""

    def __init__(self) -> None:
        self.pins: Counter[str] = Counter()
        self.loads: Counter[str] = Counter()
        self.failures: dict[str, ServiceError] = {}
        """By adapter id: what loading it raises."""
        self.states: dict[str, TrainingState] = {}
        """By key."""
        self._stored: dict[str, DeltaWeights] = {}
        self._in_memory: dict[str, DeltaWeights] = {}
        self._held: list[tuple[Future[DeltaWeights], DeltaRef]] | None = None
        self._lock = threading.Lock()

    def put(self, weights: AdapterWeights | DeltaWeights, *, in_memory: bool = True) -> DeltaRef:
        """Store a delta; returns how a request names it."""
        if isinstance(weights, AdapterWeights):
            weights = DeltaWeights(weights.id, weights.digest, adapter=weights)
        weights = _as_stored(weights)
        with self._lock:
            self._stored[weights.id] = weights
            if in_memory:
                self._in_memory[weights.id] = weights
        return DeltaRef(id=weights.id, key=f"adapters/{weights.id}/", digest=weights.digest)

    def hold(self) -> None:
        with self._lock:
            self._held = []

    def release(self) -> None:
        with self._lock:
            held, self._held = self._held or [], None
        for future, ref in held:
            self._complete(future, ref)

    # AdapterSource

    def get_loaded(self, ref: DeltaRef) -> DeltaWeights | None:
        with self._lock:
            return self._in_memory.get(ref.id)

    def load(self, ref: DeltaRef) -> Future[DeltaWeights]:
        future: Future[DeltaWeights] = Future()
        with self._lock:
            self.loads[ref.id] += 1
            if self._held is not None:
                self._held.append((future, ref))
                return future
        threading.Thread(target=self._complete, args=(future, ref)).start()
        return future

    def pin(self, ref: DeltaRef) -> None:
        with self._lock:
            self.pins[ref.id] += 1

    def unpin(self, ref: DeltaRef) -> None:
        with self._lock:
            self.pins[ref.id] -= 1

    def loaded_ids(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._in_memory)

    def load_state(self, point: ResumePoint) -> TrainingState:
        if point.key not in self.states:
            raise AdapterCorrupt(f"{point.key} is missing")
        return self.states[point.key]

    def _complete(self, future: "Future[DeltaWeights]", ref: DeltaRef) -> None:
        if ref.id in self.failures:
            future.set_exception(self.failures[ref.id])
        elif ref.id not in self._stored:
            future.set_exception(AdapterCorrupt(f"adapter {ref.id} is not what it was"))
        else:
            with self._lock:
                self._in_memory[ref.id] = self._stored[ref.id]
            future.set_result(self._stored[ref.id])


def _as_stored(delta: DeltaWeights) -> DeltaWeights:
    """With a digest, and files that another delta can share."""
    digest = hashlib.sha256(delta.id.encode()).hexdigest()
    names = []
    overlay = delta.overlay
    if overlay is not None:
        overlay = replace(overlay, sha256=overlay.sha256 or digest)
        names.append("overlay.safetensors")
    if delta.adapter is not None:
        names += ["adapter_config.json", "adapter_model.safetensors"]
    own = {name: ManifestFile(name, 1, digest) for name in names}
    return replace(
        delta, digest=delta.digest or digest, overlay=overlay, files={**own, **delta.files}
    )


class FakeAdapterSink:
    """Keeps what is saved: files by key, adapters and states by key prefix."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.adapters: dict[str, AdapterWeights] = {}
        self.deltas: dict[str, DeltaWeights] = {}
        self.states: dict[str, tuple[Mapping[str, torch.Tensor], Mapping[str, str]]] = {}
        self.failure: StorageUnavailable | None = None
        """What the next saves raise."""

    def store_delta(
        self, key_prefix: str, delta: DeltaWeights, *, base: LoadedBase, job: str, step: int
    ) -> tuple[StoredFile, ...]:
        self._check()
        self.deltas[key_prefix] = delta
        if delta.adapter is not None:
            self.adapters[key_prefix] = delta.adapter
        shared = tuple(
            StoredFile(name=f"adapter/{f.name}", bytes=f.bytes, sha256=f.sha256, key=f.key)
            for f in delta.files.values()
        )
        files = delta_files(delta, base, job=job, step=step)
        return (
            *(self._put(key_prefix, f"adapter/{name}", content) for name, content in files.items()),
            *shared,
        )

    def store_state(
        self, key_prefix: str, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
    ) -> tuple[StoredFile, ...]:
        self._check()
        self.states[key_prefix] = (tensors, metadata)
        content = save({n: t.contiguous() for n, t in tensors.items()}, dict(metadata))
        return (self._put(key_prefix, "state/state.safetensors", content),)

    def _check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _put(self, prefix: str, name: str, content: bytes) -> StoredFile:
        self.files[prefix + name] = content
        digest = hashlib.sha256(content).hexdigest()
        return StoredFile(name=name, bytes=len(content), sha256=digest)
