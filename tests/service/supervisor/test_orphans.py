"""Children do not outlive a supervisor that had no time to stop them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.polling import poll_until
from tests.service.supervisor.fakes import is_alive, pid_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PDEATHSIG is Linux's")


def test_kill_9_of_the_supervisor_leaves_no_orphan(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.service.supervisor.orphans_program", str(tmp_path)]
    with subprocess.Popen(program) as supervisor:
        poll_until(lambda: all((tmp_path / f"{n}.pid").exists() for n in "ab"), "both have started")
        poll_until(lambda: all((tmp_path / f"{n}.pid").read_text() for n in "ab"), "both have said")
        children = [pid_of(name, tmp_path) for name in "ab"]
        assert all(map(is_alive, children))
        os.kill(supervisor.pid, signal.SIGKILL)

    poll_until(lambda: not any(map(is_alive, children)), "the children are gone")
