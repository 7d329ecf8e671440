"""AdapterStore: what the step loop asks for adapters."""

import logging
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from weakref import WeakValueDictionary

from service.core.adapters import LinearShapes
from service.core.engine_protocol import DeltaRef, ResumePoint
from service.core.errors import AdapterCorrupt, EngineUnavailable
from service.core.storage import ObjectStore
from service.engine.adapters.disk import AdapterDisk
from service.engine.adapters.files import DeltaFiles, read_verified
from service.engine.adapters.memory import AdapterMemory
from service.engine.adapters.remote import remote_reader
from service.engine.adapters.states import read_state
from service.engine.adapters.weights import read_delta
from service.engine.parts import DeltaWeights, OverlayWeights, TrainingState

logger = logging.getLogger(__name__)

_LOADERS = 4
_DIGEST = re.compile(r"[0-9a-f]{64}")


class AdapterStore:
    """An AdapterSource (see `service.engine.parts`): RAM over disk over the object store.

    Adapters are held by digest, so two models with the same bytes share one copy. Those who ask
    for a digest that is on its way share one load; a load that fails is forgotten, so that the
    next one to ask starts afresh.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        disk: AdapterDisk,
        memory_bytes: int,
        shapes: Mapping[str, LinearShapes],
    ) -> None:
        """`shapes`: the linear layers of each resident base, by base digest."""
        self._store = store
        self._disk = disk
        self._shapes = shapes
        self._lock = threading.Lock()
        self._memory = AdapterMemory(memory_bytes)
        self._loading: dict[str, Future[DeltaWeights]] = {}
        self._overlays: WeakValueDictionary[str, OverlayWeights] = WeakValueDictionary()
        self._loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix="adapter-loader")

    def get_loaded(self, ref: DeltaRef) -> DeltaWeights | None:
        with self._lock:
            return self._memory.get(ref)

    def load(self, ref: DeltaRef) -> Future[DeltaWeights]:
        """Fails with AdapterCorrupt, UnsupportedParameter or StorageUnavailable."""
        with self._lock:
            if (weights := self._memory.get(ref)) is not None:
                done: Future[DeltaWeights] = Future()
                done.set_result(weights)
                return done
            if ref.digest in self._loading:
                return self._loading[ref.digest]
            future = self._loading[ref.digest] = Future()
            # Running from the start: one asker's cancel() must not take it from the others.
            future.set_running_or_notify_cancel()
            self._loaders.submit(self._finish, ref, future)
            return future

    def pin(self, ref: DeltaRef) -> None:
        with self._lock:
            self._memory.pin(ref.digest)

    def unpin(self, ref: DeltaRef) -> None:
        with self._lock:
            self._memory.unpin(ref.digest)

    def loaded_ids(self) -> tuple[str, ...]:
        with self._lock:
            return self._memory.ids()

    def load_state(self, point: ResumePoint) -> TrainingState:
        """Straight from the object store: a state is read once, so no cache keeps it."""
        return read_state(self._store, point)

    def close(self) -> None:
        """Let running loads end; those that have not begun fail with EngineUnavailable."""
        self._loaders.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            left = list(self._loading.values())
            self._loading.clear()
        for future in left:
            future.set_exception(EngineUnavailable("the engine is stopping"))

    def _finish(self, ref: DeltaRef, future: Future[DeltaWeights]) -> None:
        started = time.monotonic()
        try:
            kept = self._read_disk(ref)
            files = kept or read_verified(ref.digest, remote_reader(self._store, ref.key))
            weights = self._share_overlay(read_delta(ref, files, self._shapes))
        except Exception as error:  # whatever it is belongs to those who wait
            with self._lock:
                del self._loading[ref.digest]
            future.set_exception(error)
            return
        with self._lock:
            self._memory.put(weights)
            del self._loading[ref.digest]
        origin = "S3" if kept is None else "disk"
        logger.info("adapter %s from %s in %.3f s", ref.id, origin, time.monotonic() - started)
        future.set_result(weights)
        if kept is None:  # last, because nobody waits for the copy
            self._disk.write(ref.digest, files)

    def _share_overlay(self, weights: DeltaWeights) -> DeltaWeights:
        """One copy of an overlay, however many deltas stand on it."""
        if weights.overlay is None:
            return weights
        with self._lock:
            shared = self._overlays.setdefault(weights.overlay.sha256, weights.overlay)
        return replace(weights, overlay=shared)

    def _read_disk(self, ref: DeltaRef) -> DeltaFiles | None:
        if _DIGEST.fullmatch(ref.digest) is None:  # it names a folder, so nothing else will do
            raise AdapterCorrupt(f"adapter {ref.id}: {ref.digest!r} is no sha256")
        return self._disk.read(ref.digest)
