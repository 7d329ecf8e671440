"""`tunery-server up` as its users have it: a process, a data directory, a `connection.json`."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import psutil  # type: ignore[import-untyped]

from tests.polling import poll_until

ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 240
"""The first start on a machine converts the default base."""


@dataclass(frozen=True)
class RunningStack:
    """A stack that is ready."""

    process: "subprocess.Popen[bytes]"
    connection: Mapping[str, Any]
    """What `connection.json` says."""
    data_dir: Path

    def client(self) -> openai.OpenAI:
        """The official SDK; close it, or use it in a `with`."""
        return openai.OpenAI(
            base_url=self.connection["base_url"], api_key=self.connection["api_key"]
        )

    def terminal(self) -> str:
        """What `up` has printed."""
        return _terminal(self.data_dir).read_text()

    def is_ready(self) -> bool:
        """Whether /readyz answers that every component works this moment."""
        parts = urlsplit(self.connection["base_url"])
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            return bool(json.loads(connection.getresponse().read())["status"] == "ready")
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def components(self) -> dict[str, psutil.Process]:
        """The supervisor's children by the names that its lines give them."""
        found = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # a zombie counts as gone
                found[_name(child)] = child
        return found

    def processes(self) -> list[psutil.Process]:
        """The supervisor and everything below it."""
        supervisor = psutil.Process(self.process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def _name(component: psutil.Process) -> str:
    command: list[str] = component.cmdline()
    if "service" in command:
        return command[command.index("service") + 1]
    program: str = component.name()  # a process that is just ending has no command line any more
    return {"valkey-server": "valkey", "weed": "s3"}.get(program, program)


def _terminal(data_dir: Path) -> Path:
    return data_dir.with_name(f"{data_dir.name}.terminal")


@contextmanager
def running_stack(
    data_dir: Path,
    *,
    bases: Mapping[str, str | Path] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[RunningStack]:
    """Run `up` until the block ends; with None for `bases` it has the default one.

    A start that fails raises RuntimeError with what it printed.
    """
    command = [sys.executable, "-m", "service", "up", "--port", "0", "--data-dir", str(data_dir)]
    for name, source in (bases or {}).items():
        command += ["--base-model", f"{name}={source}"]
    with _terminal(data_dir).open("wb") as terminal:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=subprocess.STDOUT,
        )
    try:
        yield RunningStack(process, _wait_for_connection(process, data_dir), data_dir)
    finally:
        _end(process)


def _wait_for_connection(process: "subprocess.Popen[bytes]", data_dir: Path) -> dict[str, Any]:
    file = data_dir / "connection.json"
    left_over = file.stat().st_mtime_ns if file.exists() else None

    def written() -> bool:
        return file.exists() and file.stat().st_mtime_ns != left_over

    poll_until(
        lambda: process.poll() is not None or written(),
        "`up` gets ready",
        timeout_seconds=_START_SECONDS,
    )
    if process.poll() is not None:
        text = _terminal(data_dir).read_text()
        raise RuntimeError(f"`up` ended with {process.returncode}:\n{text}")
    connection: dict[str, Any] = json.loads(file.read_text())
    return connection


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
