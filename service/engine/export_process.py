"""The process that writes an export and proves it:
`python -m service.engine.export_process FOLDER PARENT`.

A process of its own at the lowest priority, so that serving keeps its cores: a thread of the engine
would share its torch threads, and a crash while loading back would end the engine. It lies outside
of the package `export`, which loads torch before anything could be said of priorities.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

from service.core.engine_protocol import to_body
from service.core.errors import ServiceError

_PR_SET_PDEATHSIG = 1


def main(path: Path, parent: int) -> None:
    """The result lies in the folder; progress goes to stdout, a number a line."""
    _serve_only(parent)
    # Only now: loading torch alone takes seconds of a core.
    import torch

    from service.engine.export.producing import produce
    from service.engine.export.task import TaskFolder

    torch.set_num_threads(max(1, torch.get_num_threads() // 2))  # memory is shared, whoever is nice
    folder = TaskFolder(path)
    try:
        produce(folder, _report)
    except ServiceError as error:
        folder.refuse(to_body(error))


def _serve_only(parent: int) -> None:
    """Step behind everything else, and end with the engine."""
    os.nice(19)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)


def _report(share: float) -> None:
    sys.stdout.write(f"{share}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
