"""Adapters in RAM, the least recently used leaving first. Not thread-safe; the store locks."""

from collections import Counter, OrderedDict
from dataclasses import replace

from service.core.engine_protocol import DeltaRef
from service.engine.parts import DeltaWeights


class AdapterMemory:
    """At most `max_bytes`, except that a pinned adapter never leaves."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: OrderedDict[str, DeltaWeights] = OrderedDict()  # least recently used first
        self._pins: Counter[str] = Counter()

    def get(self, ref: DeltaRef) -> DeltaWeights | None:
        """The adapter under the asker's id; it becomes the most recently used."""
        weights = self._held.get(ref.digest)
        if weights is None:
            return None
        if weights.id != ref.id:  # same bytes, known by another name; the tensors are shared
            weights = self._held[ref.digest] = replace(weights, id=ref.id)
        self._held.move_to_end(ref.digest)
        return weights

    def put(self, weights: DeltaWeights) -> None:
        """Hold it as the most recently used; it leaves at once if it fits in no way."""
        if weights.digest not in self._held:
            self._held[weights.digest] = weights
            self._bytes += weights.nbytes
        self._held.move_to_end(weights.digest)
        self._trim()

    def pin(self, digest: str) -> None:
        self._pins[digest] += 1

    def unpin(self, digest: str) -> None:
        self._pins[digest] -= 1
        if self._pins[digest] <= 0:
            del self._pins[digest]
            self._trim()

    def ids(self) -> tuple[str, ...]:
        """Most recently used first."""
        return tuple(weights.id for weights in reversed(self._held.values()))

    def _trim(self) -> None:
        for digest in tuple(self._held):
            if self._bytes <= self._max_bytes:
                return
            if digest not in self._pins:
                self._bytes -= self._held.pop(digest).nbytes
