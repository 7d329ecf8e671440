"""What a process in its namespaces gives up before it runs a stranger's function."""

import math
import os
import resource
import signal

from service.core.sandbox.isolation import become_nobody
from service.core.sandbox.linux import (
    PR_SET_PDEATHSIG,
    drop_capabilities,
    forbid_capabilities,
    prctl,
)
from service.core.sandbox.seccomp import confine_system_calls

_FILE_BYTES = 32 * 1024**2
_OPEN_FILES = 64
_ALL_FILES = 65_536
_THREADS = 32


def confine(*, seconds: float, memory_bytes: int) -> None:
    """Identity, capabilities, limits, system calls. Raises OSError."""
    forbid_capabilities()
    become_nobody()
    drop_capabilities()
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _limit(seconds, memory_bytes)
    confine_system_calls()


def _limit(seconds: float, memory_bytes: int) -> None:
    whole = math.ceil(seconds)
    for what, soft in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, whole),
        (resource.RLIMIT_FSIZE, _FILE_BYTES),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
        (resource.RLIMIT_NPROC, _THREADS),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(what, (soft, soft))


def keep_only(*descriptors: int) -> list[int]:
    """Closes every other file and lets the standard ones lead nowhere; these move up, in order."""
    first = 1000
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, first + place, inheritable=False)
    nowhere = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.closerange(3, first)
    kept = [os.dup2(first + place, 3 + place) for place in range(len(descriptors))]
    os.closerange(3 + len(descriptors), _ALL_FILES)
    return kept
