"""The self-test finds what stands open, and a machine without a sandbox is refused."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from service.core.sandbox import self_test
from service.core.sandbox.harness import call
from service.core.sandbox.running import Limits, Sandbox
from service.core.sandbox.self_test import Probed, probe
from service.core.settings import inherited_environment

ROOT = Path(__file__).parents[4]
WALLS = (
    "sandbox can be made",
    "network blocked",
    "host's files and environment unreadable",
    "processes bounded",
    "memory bounded",
    "time bounded",
    "ptrace, mount and the like refused",
)


async def findings() -> list[Probed]:
    return [found async for found in probe(Sandbox())]


def test_every_wall_stands_where_a_sandbox_can_be_made(limits: Limits) -> None:
    assert asyncio.run(findings()) == [Probed(name) for name in WALLS]


@pytest.mark.parametrize("source", ["_NETWORK", "_FILES", "_PROCESSES", "_PRIVILEGES"])
def test_a_probe_finds_a_wall_that_is_missing(source: str) -> None:
    """The same function in an ordinary process, which may do what the probe looks for."""
    request = json.dumps(
        {
            "source": self_test._HELPERS + getattr(self_test, source),
            "sample": {},
            "item": {"source": __file__, "root": "root"},
        }
    )
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
        f"from service.core.sandbox.harness import {call.__name__} as call; "
        "sys.__stdout__.buffer.write(call(sys.stdin.buffer.read()))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], input=request.encode(), capture_output=True
    )
    answers = done.stdout.replace(b"}{", b"}\n{").splitlines()
    assert all("AssertionError" in json.loads(answer)["fault"] for answer in answers)
    assert answers


def without_namespaces(*command: str) -> subprocess.CompletedProcess[str]:
    """Run where no further namespace can be made."""
    if shutil.which("unshare") is None:
        pytest.skip("needs the program unshare")
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *command],
        env={**inherited_environment(), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if "unshare" in done.stderr and not done.stdout:
        pytest.skip(done.stderr)
    return done


def test_a_machine_that_permits_no_namespaces_refuses_python_graders() -> None:
    program = """
import asyncio
from service.core.errors import GraderUnavailable
from service.core.graders import PythonCode
try:
    asyncio.run(PythonCode().require(param="grader.type"))
except GraderUnavailable as refusal:
    print(refusal.param, refusal.message)
"""
    told = without_namespaces(sys.executable, "-c", program).stdout
    assert told.startswith("grader.type Graders of the type 'python'")
    assert "unshare: No space left on device" in told


def test_doctor_shows_every_probe(limits: Limits, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service", "doctor"],
        env={**inherited_environment(), "TUNERY_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    for wall in WALLS:
        assert f"ok   python graders  {wall}\n" in done.stdout


def test_doctor_calls_a_missing_sandbox_by_its_name_and_goes_on(tmp_path: Path) -> None:
    done = without_namespaces(
        *("env", f"TUNERY_DATA_DIR={tmp_path}", sys.executable, "-m", "service", "doctor")
    )
    assert "off  python graders  not so: sandbox can be made" in done.stdout
    assert (done.returncode == 1) == ("FAIL" in done.stdout)
