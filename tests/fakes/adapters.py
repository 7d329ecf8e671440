"""An adapter store and an export in memory, at the engine's seams. Imports torch."""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future

import torch
from safetensors.torch import save

from service.core.engine_protocol import DeltaRef, ResumePoint, StoredFile
from service.core.errors import AdapterCorrupt, ServiceError, StorageUnavailable
from service.engine.parts import AdapterWeights, LoadedBase, TrainingState


class FakeAdapterSource:
    """Adapters put here are served. `hold()` keeps loads waiting until `release()`."""

    def __init__(self) -> None:
        self.pins: Counter[str] = Counter()
        self.loads: Counter[str] = Counter()
        self.failures: dict[str, ServiceError] = {}
        """By adapter id: what loading it raises."""
        self.states: dict[str, TrainingState] = {}
        """By key."""
        self._stored: dict[str, AdapterWeights] = {}
        self._in_memory: dict[str, AdapterWeights] = {}
        self._held: list[tuple[Future[AdapterWeights], DeltaRef]] | None = None
        self._lock = threading.Lock()

    def put(self, weights: AdapterWeights, *, in_memory: bool = True) -> DeltaRef:
        """Store an adapter; returns how a request names it."""
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

    def get_loaded(self, ref: DeltaRef) -> AdapterWeights | None:
        with self._lock:
            return self._in_memory.get(ref.id)

    def load(self, ref: DeltaRef) -> Future[AdapterWeights]:
        future: Future[AdapterWeights] = Future()
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

    def _complete(self, future: "Future[AdapterWeights]", ref: DeltaRef) -> None:
        if ref.id in self.failures:
            future.set_exception(self.failures[ref.id])
        elif ref.id not in self._stored:
            future.set_exception(AdapterCorrupt(f"adapter {ref.id} is not what it was"))
        else:
            with self._lock:
                self._in_memory[ref.id] = self._stored[ref.id]
            future.set_result(self._stored[ref.id])


class FakeAdapterSink:
    """Keeps what is saved: files by key, adapters and states by key prefix."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.adapters: dict[str, AdapterWeights] = {}
        self.states: dict[str, tuple[Mapping[str, torch.Tensor], Mapping[str, str]]] = {}
        self.failure: StorageUnavailable | None = None
        """What the next saves raise."""

    def store_adapter(
        self, key_prefix: str, weights: AdapterWeights, *, base: LoadedBase, job: str, step: int
    ) -> tuple[StoredFile, ...]:
        self._check()
        self.adapters[key_prefix] = weights
        tensors = {
            f"base_model.model.{name}.lora_{factor}.weight": tensor.contiguous()
            for name, pair in weights.modules.items()
            for factor, tensor in (("A", pair.a), ("B", pair.b))
        }
        targets = sorted(weights.modules)
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base.name,
            "r": weights.tuning.rank,
            "lora_alpha": weights.tuning.alpha,
            "use_rslora": weights.tuning.use_rslora,
            "target_modules": targets,
            "inference_mode": True,
        }
        return (
            self._put(key_prefix, "adapter/adapter_config.json", json.dumps(config).encode()),
            self._put(key_prefix, "adapter/adapter_model.safetensors", save(tensors)),
            self._put(key_prefix, "adapter/README.md", f"# {job} at step {step}\n".encode()),
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
