"""WandbRun: the process that speaks to W&B, seen from the training.

Nothing waits for it: lines are handed to a thread that writes them, and what the process says is
read by another. A process that hangs fills a queue, and one that fails is told of once.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.core.settings import Variables

_PROGRAM = Path(__file__).with_name("wandb_process.py")
_QUEUED_LINES = 10_000
"""Steps that wait for a process that has not begun: some megabytes."""
_SHOWN_CHARACTERS = 300
_ABANDON_SECONDS = 5.0

Line = Mapping[str, Any]


@dataclass(frozen=True)
class News:
    """The run's address, or what went wrong with it."""

    url: str | None = None
    problem: str | None = None


class WandbRun:
    """Begins with its constructor; `finish` or `abandon` ends it. Raises nothing afterwards."""

    def __init__(self, beginning: Line, environment: Variables, *, secret: str | None) -> None:
        """Raises OSError when no process can be started. `secret` is kept out of the news."""
        self._secret = secret
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # W&B's own service is a child of it and ends with it
            text=True,
        )
        self._lines: queue.Queue[Line | None] = queue.Queue(_QUEUED_LINES)
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._has_failed = False
        self._lines.put(beginning)
        self._writer = threading.Thread(target=self._write, name="wandb-writer", daemon=True)
        self._reader = threading.Thread(target=self._read, name="wandb-reader", daemon=True)
        self._writer.start()
        self._reader.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._hand_over({"step": step, "metrics": dict(metrics)})

    def finish(self, summary: Mapping[str, object], *, seconds: float) -> None:
        """The job is done; what is on its way gets so long to arrive."""
        self._hand_over({"summary": dict(summary)})
        self._end(seconds)

    def abandon(self) -> None:
        """The attempt is over, and another may go on."""
        self._end(_ABANDON_SECONDS)

    def take_news(self) -> list[News]:
        news = []
        with suppress(queue.Empty):
            while True:
                news.append(self._news.get_nowait())
        return news

    def _hand_over(self, line: Line | None) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._fail("it takes nothing any more")

    def _end(self, seconds: float) -> None:
        self._hand_over(None)
        self._reader.join(seconds)
        if self._reader.is_alive():
            self._fail(f"it was not done after {seconds:g} seconds")
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._writer.join()

    def _write(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the reader tells why
            while (line := self._lines.get()) is not None:
                self._process.stdin.write(json.dumps(line) + "\n")
                self._process.stdin.flush()
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as said:
            for line in said:
                self._take_in(line)
        code = self._process.wait()
        if code != 0:
            self._fail(f"its process ended with code {code}")

    def _take_in(self, line: str) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return  # a warning of W&B's own
        if said.get("url"):
            self._news.put(News(url=str(said["url"])))
        if said.get("error"):
            self._fail(str(said["error"]))

    def _fail(self, problem: str) -> None:
        if not self._has_failed:
            self._has_failed = True
            shown = problem.replace(self._secret, "…") if self._secret else problem
            self._news.put(News(problem=shown[:_SHOWN_CHARACTERS]))
