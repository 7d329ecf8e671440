"""Sandbox: starts the launcher for one call, feeds it, reads no more than an answer has."""

import asyncio
import json
import math
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import service
from service.core.sandbox.launcher import CANNOT, LATE, SIGNALLED

_ROOT = str(Path(service.__file__).parents[1])
_START = (
    f"import sys; sys.path.insert(0, {_ROOT!r}); "
    "from service.core.sandbox.launcher import main; del sys.path[0]; main()"
)
_ANSWER_BYTES = 64 * 1024
_SHOWN_CHARACTERS = 10_000
_GRACE_SECONDS = 20.0
"""For starting and making the sandbox on a busy machine; the launcher itself keeps the time of what
runs in it."""


@dataclass(frozen=True)
class Limits:
    """Of one call."""

    seconds: float = 60.0
    """Of the clock, and of the processor."""
    memory_bytes: int = 1024**3
    """Address space."""
    packages: Path | None = None
    """A folder of further Python packages."""


class CallFailed(Exception):
    """The function gave no reward; the text is for whoever wrote it."""


class CallTookTooLong(CallFailed):
    """It was ended at the limit of time."""


class SandboxBroken(Exception):
    """The machine does not permit a part of the sandbox; the text says which."""


class Sandbox:
    """Belongs to one event loop. As many calls run at once as there are cores; others wait."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._slots = asyncio.Semaphore(_cores())

    async def call(
        self, source: str, *, sample: Mapping[str, object], item: Mapping[str, object]
    ) -> float:
        """What `grade(sample, item)` of this source returns: a finite number.

        Raises CallFailed, CallTookTooLong, SandboxBroken.
        """
        return await self._run({"source": source, "sample": sample, "item": item})

    async def load(self, source: str) -> None:
        """Only looks whether the source defines the function. Raises as `call`."""
        await self._run({"source": source, "sample": None, "item": None})

    async def _run(self, request: Mapping[str, object]) -> float:
        head = {
            "seconds": self.limits.seconds,
            "memory_bytes": self.limits.memory_bytes,
            "packages": self.limits.packages and str(self.limits.packages),
        }
        content = f"{json.dumps(head)}\n{json.dumps(request)}".encode()
        async with self._slots:
            code, answer, why = await _launch(content, self.limits.seconds + _GRACE_SECONDS)
        return self._reward(code, answer, why)

    def _reward(self, code: int, answer: bytes, why: bytes) -> float:
        if code == LATE:
            raise CallTookTooLong(f"The grader took longer than {self.limits.seconds:g} seconds.")
        if code == CANNOT:
            raise SandboxBroken(why.decode(errors="replace"))
        if code > SIGNALLED:
            name = signal.Signals(code - SIGNALLED).name
            raise CallFailed(f"The grader's process was ended by {name}.")
        return _read_answer(answer)


def _read_answer(answer: bytes) -> float:
    """Nothing in it can be relied on: the function may write where the answer goes."""
    try:
        told = json.loads(answer)
        if "fault" in told:
            raise CallFailed(_shown(str(told["fault"])))
        reward = float(told["reward"])
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        raise CallFailed("The grader's process ended without an answer.") from None
    if not math.isfinite(reward):
        raise CallFailed("The grader's answer is no finite number.")
    return reward


def _shown(text: str) -> str:
    """Without what no JSON and no database can hold: lone surrogates and NUL."""
    return text[:_SHOWN_CHARACTERS].encode(errors="replace").decode().replace("\0", "")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


async def _launch(content: bytes, seconds: float) -> tuple[int, bytes, bytes]:
    """Exit code, answer, and what kept the sandbox from being made."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-S", "-B", "-c", _START),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={},
        cwd="/",
        start_new_session=True,
    )
    feeding = asyncio.create_task(_feed(process, content))
    try:
        async with asyncio.timeout(seconds):
            answer = await _read(process.stdout)
            if len(answer) > _ANSWER_BYTES:
                _kill(process)
            why = await _read(process.stderr)
            return await process.wait(), answer, why
    except TimeoutError:
        return LATE, b"", b""
    finally:
        feeding.cancel()
        _kill(process)
        await asyncio.gather(feeding, process.wait(), return_exceptions=True)


async def _feed(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):  # it ended before it had read everything
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()


async def _read(stream: asyncio.StreamReader | None) -> bytes:
    """To the end, or somewhat beyond what an answer may have."""
    assert stream is not None
    content = b""
    while len(content) <= _ANSWER_BYTES and (piece := await stream.read(_ANSWER_BYTES)):
        content += piece
    return content


def _kill(process: asyncio.subprocess.Process) -> None:
    """With everything that it has started."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
