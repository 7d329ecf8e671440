"""Between workers, api and engine."""

from typing import ClassVar

from service.core.errors.base import Conflict, NotFound, TooManyRequests, Unavailable


class SessionNotFound(NotFound):
    """The engine holds no such training session (never opened, closed, or lost in a restart)."""

    code = "session_not_found"


class SequenceGap(Conflict):
    """A training command whose `seq` is not the next one."""

    code = "sequence_gap"


class StaleEpoch(Conflict):
    """A higher epoch of the job has taken over; whoever sees this must stop writing."""

    code = "stale_epoch"


class ExportLost(Unavailable):
    """The engine knows no such export (any more): it was started again since."""

    code = "export_lost"


class EngineOverloaded(TooManyRequests):
    """The engine's waiting line is full."""

    code = "engine_overloaded"


class EngineUnavailable(Unavailable):
    """No live engine holds this base, or it went away in the middle."""

    code = "engine_unavailable"


class AdapterCorrupt(Unavailable):
    """Stored bytes do not match their digest. The base is never served in the adapter's place."""

    code = "adapter_corrupt"
    headers: ClassVar[dict[str, str]] = {"x-should-retry": "false"}
