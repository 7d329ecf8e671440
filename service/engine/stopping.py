"""SIGTERM, SIGINT and failures of other threads, as something the main thread waits for."""

import signal
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequests:
    """Open it in the main thread. Until `defer` a signal ends the process at once, with exit
    code 0: nothing has begun that would have to be finished."""

    def __init__(self) -> None:
        # put() of this queue, unlike set() of an Event, may interrupt a get() of the same thread.
        self._requests: SimpleQueue[Exception | None] = SimpleQueue()
        self._deferred = False
        self._former: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self._former = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def defer(self) -> None:
        """From here on a signal only asks; `wait` answers it."""
        self._deferred = True

    def request(self, failure: Exception) -> None:
        """Ask for the end because of a failure. Callable from any thread."""
        self._requests.put(failure)

    def wait(self) -> Exception | None:
        """Block until asked to stop; the failure, or None after a signal."""
        return self._requests.get()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self._deferred:
            raise SystemExit(0)
        self._requests.put(None)
