"""Run as a program by `test_orphans.py`: a supervisor of two small components."""

import asyncio
import sys
from pathlib import Path

from tests.service.supervisor.fakes import Run, shell


async def stay() -> None:
    await asyncio.Event().wait()


folder = Path(sys.argv[1])
Run(folder)([shell("a", folder), shell("b", folder, nice=19)], when_ready=stay)
