"""Variants of one base: its modules over stored overlays, everything else shared."""

import threading
from collections import OrderedDict
from weakref import WeakValueDictionary

from service.engine.parts import OverlayWeights
from service.engine.runner import BaseRunner


class Variants:
    """One runner an overlay, so that all who stand on it share a pass. Thread-safe.

    At most `max_bytes` of overlays are kept for later, the least recently used leaving first; what
    a stream or a session uses stays as long as it does.
    """

    def __init__(self, runner: BaseRunner, max_bytes: int) -> None:
        self._runner = runner
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[BaseRunner, int]] = OrderedDict()
        self._alive: WeakValueDictionary[str, BaseRunner] = WeakValueDictionary()

    def get(self, overlay: OverlayWeights | None) -> BaseRunner:
        """The base itself without an overlay. Raises AdapterCorrupt for one that does not fit."""
        if overlay is None:
            return self._runner
        with self._lock:
            runner = self._alive.get(overlay.sha256)
            if runner is None:
                runner = self._alive[overlay.sha256] = self._make(overlay)
            self._keep(overlay, runner)
            return runner

    def _make(self, overlay: OverlayWeights) -> BaseRunner:
        base = self._runner.base
        return self._runner.variant(
            {
                name: tensor.to(device=base.device, dtype=base.dtype)
                for name, tensor in overlay.tensors.items()
            }
        )

    def _keep(self, overlay: OverlayWeights, runner: BaseRunner) -> None:
        self._kept[overlay.sha256] = (runner, overlay.nbytes)
        self._kept.move_to_end(overlay.sha256)
        while sum(nbytes for _, nbytes in self._kept.values()) > self._max_bytes:
            self._kept.popitem(last=False)
