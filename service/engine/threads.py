"""How many threads torch computes with."""

import logging
import math
import os
from pathlib import Path

import torch

logger = logging.getLogger(__name__)

_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def limit_torch_threads() -> None:
    """Torch's own choice, which is a thread a core, but no more than this process may run on:
    threads that wait for a core that a container's quota withholds stop all the others."""
    threads = min(torch.get_num_threads(), usable_cpus())
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)  # one step loop: there is never a second graph to run
    logger.info("torch computes with %d threads", threads)


def usable_cpus() -> int:
    """Cores of the affinity mask, within the container's quota; at least one."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(affinity or 1, _quota_cpus()))


def _quota_cpus() -> int:
    """Rounded up, so that half a core is one thread."""
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or `max`
        return os.cpu_count() or 1
