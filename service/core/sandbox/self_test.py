"""Tries to break out of the sandbox on this machine; only where every probe fails may it be used.

A probe is a function as a stranger might write it. It returns 1 where the wall stands and raises
where it does not.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from service.core.sandbox.running import CallFailed, CallTookTooLong, Sandbox, SandboxBroken

_PROBE_SECONDS = 20.0
_SHORT_SECONDS = 0.5
_MEMORY_BYTES = 256 * 1024**2

_HELPERS = """
def must_fail(what, function, *arguments):
    try:
        function(*arguments)
    except (OSError, RuntimeError, MemoryError):
        return
    raise AssertionError(what + " is possible")
"""

_STARTS = """
def grade(sample, item):
    return 1.0
"""

_NETWORK = """
import socket

def grade(sample, item):
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 16):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):
            must_fail("a socket", socket.socket, family, kind)
    must_fail("a connection", socket.create_connection, ("127.0.0.1", 80), 1)
    return 1.0
"""

_FILES = """
import os, sys

def grade(sample, item):
    for path in ("/etc/passwd", "/proc/self/environ", "/proc/1/maps", "/sys/kernel", "/dev/mem",
                 "/home", "/var", "/run", item["source"]):
        must_fail("reading " + path, os.open, path, os.O_RDONLY)
    for folder in ("/", "/usr", os.path.dirname(os.__file__)):
        must_fail("writing below " + folder, open, folder + "/probe", "w")
    assert not {*os.listdir("/")} - {"lib", "lib64", "packages", "tmp", "usr", item["root"]}
    assert not {*os.environ} - {"LC_CTYPE"}, "the environment is not empty"
    return 1.0
"""

_PROCESSES = """
import os, signal, threading, time

def grade(sample, item):
    must_fail("fork", os.fork)
    must_fail("a program", os.execv, "/usr/bin/env", ["env"])
    for process in (os.getppid(), 1, -1):
        must_fail("a signal", os.kill, process, 0)
    assert os.getpid() == 1, "other processes can be seen"
    started = []
    def start():
        for _ in range(1000):
            thread = threading.Thread(target=time.sleep, args=(60,), daemon=True)
            thread.start()
            started.append(thread)
    must_fail("a thousand threads", start)
    return 1.0
"""

_MEMORY = """
def grade(sample, item):
    held = []
    def hold():
        for _ in range(4096):
            held.append(bytearray(1024 ** 2))
    must_fail("holding 4 GiB", hold)
    held.clear()
    def fill():
        with open("/tmp/probe", "wb") as file:
            for _ in range(1024):
                file.write(bytes(1024 ** 2))
    must_fail("a file of 1 GiB", fill)
    return 1.0
"""

_TIME = """
def grade(sample, item):
    while True:
        pass
"""

_PRIVILEGES = """
import ctypes, os

def grade(sample, item):
    libc = ctypes.CDLL(None, use_errno=True)
    for name, arguments in {
        "ptrace": (0, 0, 0, 0), "unshare": (0x10000000,), "setns": (0, 0), "chroot": (b"/tmp",),
        "mount": (b"none", b"/tmp", b"tmpfs", 0, 0), "umount2": (b"/tmp", 2), "personality": (0,),
        "process_vm_readv": (1, 0, 0, 0, 0, 0), "memfd_create": (b"x", 0), "prctl": (1, 0, 0, 0, 0),
        "pivot_root": (b"/", b"/tmp"), "sethostname": (b"x", 1), "capset": (0, 0),
    }.items():
        assert getattr(libc, name)(*arguments) == -1, name + " is possible"
        assert ctypes.get_errno() == 1, name + " is not refused by the filter"
    for identity in (0, 1000):
        must_fail("another identity", os.setuid, identity)
    return 1.0
"""

_PROBES = {
    "network blocked": _NETWORK,
    "host's files and environment unreadable": _FILES,
    "processes bounded": _PROCESSES,
    "memory bounded": _MEMORY,
    "time bounded": _TIME,
    "ptrace, mount and the like refused": _PRIVILEGES,
}


@dataclass(frozen=True)
class Probed:
    """A probe and what it found; nothing is good."""

    name: str
    fault: str | None = None


async def probe(sandbox: Sandbox) -> AsyncIterator[Probed]:
    """Every probe's finding; none but the first where the sandbox cannot even be made."""
    started = await _probe(sandbox, "sandbox can be made", _STARTS)
    yield started
    if started.fault is None:
        for found in await asyncio.gather(
            *(_probe(sandbox, name, source) for name, source in _PROBES.items())
        ):
            yield found


async def _probe(sandbox: Sandbox, name: str, source: str) -> Probed:
    endless = source is _TIME
    limits = replace(
        sandbox.limits,
        seconds=_SHORT_SECONDS if endless else _PROBE_SECONDS,
        memory_bytes=_MEMORY_BYTES,
    )
    item = {"source": __file__, "root": Path(os.__file__).parts[1]}
    try:
        reward = await Sandbox(limits).call(_HELPERS + source, sample={}, item=item)
    except CallTookTooLong as late:
        return Probed(name, None if endless else str(late))
    except (CallFailed, SandboxBroken, OSError) as failure:
        return Probed(name, str(failure).strip().splitlines()[-1])
    return Probed(name, None if reward == 1 else "the probe was not carried out")
