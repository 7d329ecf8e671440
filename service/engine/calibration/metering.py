"""The highest memory that was needed since a moment."""

import ctypes
from contextlib import suppress
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
"""See proc(5)."""


class MemoryMeter:
    """Of a device's allocator, or of this process where the device is the CPU and the system is
    Linux; elsewhere it knows nothing and says 0."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def now(self) -> int:
        """Bytes in use."""
        if self._device.type == "cuda":
            return int(torch.cuda.memory_allocated(self._device))
        return _status("VmRSS") if self._device.type == "cpu" else 0

    def peak(self) -> int:
        """Most bytes in use since `reset`."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return _status("VmHWM") if self._device.type == "cpu" else 0

    def reset(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _CLEAR.exists():
            try:
                _CLEAR.write_text(_RESET_PEAK)
            except OSError:  # a sandbox may forbid it; the peak is the process's then
                return


def trim() -> None:
    """Give the system what was freed and kept, so that the next peak is a job's own."""
    with suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def settle(device: torch.device) -> None:
    """Wait until all that was asked of the device is done, so that a clock tells its time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _status(field: str) -> int:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    for line in lines:
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return 0
