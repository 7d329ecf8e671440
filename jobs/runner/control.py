"""What may end an attempt from outside: a lost claim, or a drain."""

import threading

from service.core.errors import ServiceError, StaleEpoch


class Drained(ServiceError):
    """The worker shuts down; the work goes back to the queue and nobody is to blame."""

    code = "drained"


class AttemptControl:
    """Set from a signal handler or the heartbeat's thread, checked by the loop."""

    def __init__(self) -> None:
        self._drain = threading.Event()
        self._fenced = threading.Event()

    def drain(self) -> None:
        self._drain.set()

    def fence(self) -> None:
        self._fenced.set()

    def check(self) -> None:
        """Raises StaleEpoch or Drained when the attempt must end."""
        if self._fenced.is_set():
            raise StaleEpoch("another attempt has taken over, or the job was cancelled")
        if self._drain.is_set():
            raise Drained("the worker is shutting down")
