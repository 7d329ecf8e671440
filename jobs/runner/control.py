"""What may end an attempt from outside or before its time."""

import threading

from service.core.domain.work import WorkRequest
from service.core.errors import ServiceError, StaleEpoch


class Drained(ServiceError):
    """The worker shuts down; the work goes back to the queue and nobody is to blame."""

    code = "drained"


class NotYet(ServiceError):
    """Something that the work needs is not there yet; it waits and nobody is to blame."""

    code = "not_yet"


class Paused(ServiceError):
    """The job's owner has paused it; what is done is stored, and nobody is to blame."""

    code = "paused"


class AttemptControl:
    """Set from a signal handler or the heartbeat's thread, checked by the loop."""

    def __init__(self) -> None:
        self._drain = threading.Event()
        self._fenced = threading.Event()
        self._asked_to_pause = threading.Event()

    def drain(self) -> None:
        self._drain.set()

    def fence(self) -> None:
        self._fenced.set()

    def check(self) -> None:
        """Raises StaleEpoch or Drained when the attempt must end."""
        self.check_fence()
        if self._drain.is_set():
            raise Drained("the worker is shutting down")

    def check_fence(self) -> None:
        """Raises StaleEpoch when the claim is lost; a drain may still put things in order."""
        if self._fenced.is_set():
            raise StaleEpoch("another attempt has taken over, or the job was cancelled")

    def ask(self, request: WorkRequest | None) -> None:
        """Take in what a beat or a write has been answered."""
        if request is WorkRequest.PAUSE:
            self._asked_to_pause.set()

    @property
    def is_asked_to_pause(self) -> bool:
        return self._asked_to_pause.is_set()

    def check_pause(self) -> None:
        """Raises Paused when the owner asks for it. To be called where nothing is left to store."""
        if self.is_asked_to_pause:
            raise Paused("the job was paused")

    def pause(self, seconds: float) -> None:
        """Sleep, but not past the loss of the claim."""
        self._fenced.wait(seconds)
