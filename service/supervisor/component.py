"""What the supervisor knows about one of its processes."""

import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Probe = Callable[[float], bool]
"""Called in a thread with the wall-clock second at which the process was started, again and again
until it answers True. It must not raise."""


@dataclass(frozen=True)
class Component:
    """A process, how to see that it works, and how to end it."""

    name: str
    command: Sequence[str | Path]
    is_ready: Probe
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: Path | None = None
    """Working directory; None is the supervisor's own."""
    nice: int = 19
    """Only what answers requests runs at 0: beside one busy process of nice 0 decoding loses two
    thirds of its speed, beside one of nice 19 an eighth."""
    ready_seconds: float = 180
    """A start that takes longer has failed. Generous: a busy machine starves what has nice 19."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_share: float = 0.1
    """Part of the time to drain that this one may take before it is killed."""
