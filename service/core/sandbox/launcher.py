"""The sandbox's process: reads a request, makes a sandbox, lets a child in it answer on stdout.

Started without an environment and without site-packages. It stays outside of the child's world
and keeps the time. Exit codes: 0 after an answer, CANNOT when the machine does not permit the
sandbox (stderr says what), LATE, SILENT for a child that ended without an answer, and SIGNALLED +
the signal that ended it.
"""

import json
import os
import signal
import sys
from typing import NoReturn

from service.core.sandbox.confinement import confine, keep_only
from service.core.sandbox.filesystem import PACKAGES, enter_empty_root
from service.core.sandbox.harness import call
from service.core.sandbox.isolation import isolate

CANNOT, LATE, SILENT, SIGNALLED = 10, 11, 12, 100
_STDOUT, _STDERR = 1, 2
_READY = b"1"


def main() -> NoReturn:
    """On stdin a line of settings (seconds, memory_bytes, packages), then the request as it is."""
    head, _, request = sys.stdin.buffer.read().partition(b"\n")
    settings = json.loads(head)
    try:
        isolate()
    except OSError as error:
        _cannot(str(error).encode())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _answer(settings, request, writing)
    os.close(writing)
    os.close(_STDOUT)
    told = _read_all(reading)
    if told != _READY:
        _cannot(told or b"the sandbox's process ended before it was ready")
    os._exit(_wait(child, settings["seconds"]))


def _cannot(why: bytes) -> NoReturn:
    os.write(_STDERR, why)
    os._exit(CANNOT)


def _answer(settings: dict[str, object], request: bytes, when_ready: int) -> NoReturn:
    """In the child, the first process of its world."""
    packages, seconds, memory = (settings[k] for k in ("packages", "seconds", "memory_bytes"))
    answers, when_ready = keep_only(_STDOUT, when_ready)
    try:
        enter_empty_root(packages)  # type: ignore[arg-type]
        confine(seconds=seconds, memory_bytes=memory)  # type: ignore[arg-type]
    except OSError as error:
        os.write(when_ready, str(error).encode())
        os._exit(CANNOT)
    if packages is not None:
        sys.path.append(PACKAGES)
    os.write(when_ready, _READY)
    os.close(when_ready)
    answer = call(request)
    while answer:
        answer = answer[os.write(answers, answer) :]
    os._exit(0)


def _read_all(descriptor: int) -> bytes:
    text = b""
    while piece := os.read(descriptor, 4096):
        text += piece
    return text


def _wait(child: int, seconds: float) -> int:
    """The exit code that says how the child ended; a late one is ended here."""

    def end(_signal: int, _frame: object) -> None:
        raise TimeoutError

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        _, status = os.waitpid(child, 0)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return LATE
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return LATE if -code == signal.SIGXCPU else SIGNALLED - code
    return 0 if code == 0 else SILENT
