"""Exports that an engine is making or has made, one at a time, each by a process of its own."""

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from service.core.engine_protocol import (
    ErrorBody,
    ExportFormat,
    ExportRequest,
    ExportState,
    StoredFile,
    to_body,
)
from service.core.errors import ExportLost, ExportRefused, ServiceError
from service.core.storage import ObjectStore
from service.engine.export.reference import Reference
from service.engine.export.task import TaskFolder, write_task
from service.engine.parts import LoadedBase

logger = logging.getLogger(__name__)

_REMEMBERED = 64
_ABANDONED_SECONDS = 24 * 3600
_NAMES = {
    ExportFormat.PEFT: "adapter.tar",
    ExportFormat.MERGED: "merged.tar",
    ExportFormat.GGUF: "model.gguf",
}
_BROKE = ErrorBody(
    code="internal_error",
    message="The export met an error of the service itself; its operator finds it in the engine's "
    "log.",
)


class Exports:
    """Thread-safe. The latest are remembered after they have ended."""

    def __init__(self, store: ObjectStore | None, folder: Path | None = None) -> None:
        """`folder` holds what is being written; without a store nothing is exported."""
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()
        self._states: OrderedDict[str, ExportState] = OrderedDict()
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="engine-export")

    def find(self, export: str) -> ExportState | None:
        with self._lock:
            return self._states.get(export)

    def get(self, export: str) -> ExportState:
        """Raises ExportLost."""
        state = self.find(export)
        if state is None:
            raise ExportLost(f"this engine knows no export {export!r}")
        return state

    def start(self, request: ExportRequest, base: LoadedBase, reference: Reference) -> ExportState:
        """Begin, or wait for the one before. Raises ExportRefused where none are made."""
        if self._store is None or base.folder is None:
            raise ExportRefused(f"this engine makes no exports of {base.name}")
        begun = ExportState(id=request.id, status="running")
        with self._lock:
            if request.id in self._states:
                return self._states[request.id]
            self._states[request.id] = begun
            while len(self._states) > _REMEMBERED:
                self._states.popitem(last=False)
        self._writing.submit(self._run, request, base, reference)
        return begun

    def cancel(self, export: str) -> None:
        """Stop and forget; unknown ones are no error."""
        with self._lock:
            self._states.pop(export, None)
            process = self._processes.get(export)
        if process is not None:
            process.kill()

    def close(self) -> None:
        with self._lock:
            exports = list(self._states)
        for export in exports:
            self.cancel(export)
        self._writing.shutdown(wait=True, cancel_futures=True)

    def _run(self, request: ExportRequest, base: LoadedBase, reference: Reference) -> None:
        try:
            ended = self._export(request, base, reference)
        except ServiceError as error:
            ended = ExportState(id=request.id, status="failed", error=to_body(error))
        except Exception:
            if self.find(request.id) is None:
                return  # cancelled, so its process was killed
            logger.exception("export %s broke", request.id)
            ended = ExportState(id=request.id, status="failed", error=_BROKE)
        self._note(ended)

    def _export(
        self, request: ExportRequest, base: LoadedBase, reference: Reference
    ) -> ExportState:
        """Raises StorageUnavailable, OSError, SubprocessError."""
        assert self._store is not None
        if self.find(request.id) is None:
            raise ExportRefused("the export was cancelled")
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self._folder)
        path = Path(tempfile.mkdtemp(prefix="export-", dir=self._folder))
        try:
            folder = write_task(path, request, base, reference)
            self._write(request.id, folder)
            if folder.refusal.is_file():
                error = ErrorBody.model_validate_json(folder.refusal.read_bytes())
                return ExportState(id=request.id, status="failed", error=error)
            stored = self._store.put_file(request.key, folder.artefact)
            return ExportState(
                id=request.id,
                status="stored",
                progress=1.0,
                file=StoredFile(
                    name=_NAMES[request.format], bytes=stored.bytes, sha256=stored.sha256
                ),
                certificate=json.loads(folder.certificate.read_text()),
            )
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def _write(self, export: str, folder: TaskFolder) -> None:
        """Run the process to its end. Raises CalledProcessError when it breaks."""
        command = [sys.executable, "-m", "service.engine.export_process"]
        with subprocess.Popen(
            [*command, str(folder.path), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            with self._lock:
                self._processes[export] = process
                if export not in self._states:  # cancelled before there was anything to kill
                    process.kill()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    self._note(ExportState(id=export, status="running", progress=_share(line)))
            finally:
                process.wait()
                with self._lock:
                    del self._processes[export]
        if process.returncode != 0:
            raise subprocess.CalledProcessError(process.returncode, command)

    def _note(self, state: ExportState) -> None:
        """Unless it was cancelled."""
        with self._lock:
            if state.id in self._states:
                self._states[state.id] = state


def _remove_abandoned(folder: Path) -> None:
    """What engines have left that were killed; several may share the folder."""
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _share(line: str) -> float:
    """Whatever a library prints beside the progress is none."""
    try:
        return min(max(float(line), 0.0), 1.0)
    except ValueError:
        return 0.0
