"""`up` keeps its components alive, ends all of them, and loses nothing."""

import json
import stat
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from service.core.settings import Settings
from tests.e2e.stack import RunningStack, running_stack
from tests.polling import poll_until

ROWS = (
    b'{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"}]}\n' * 20
)
COMPONENTS = ("valkey", "s3", "worker", "reconciler", "engine", "api")


def upload(stack: RunningStack) -> str:
    with stack.client() as client:
        return client.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune").id


def content(stack: RunningStack, file_id: str) -> bytes:
    with stack.client() as client:
        return client.files.content(file_id).read()


def gone(processes: list[psutil.Process]) -> bool:
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)


def sockets(data_dir: Path) -> list[Path]:
    """Of SeaweedFS, which has no setting for where some of them lie."""
    ports = json.loads((data_dir / "state.json").read_text())["ports"].values()
    return [s for p in ports for s in Path("/tmp").glob(f"seaweedfs-*-{p}.sock")]


def kill_and_await_return(stack: RunningStack, name: str) -> None:
    before = stack.components()[name]
    before.kill()

    def is_back() -> bool:
        after = stack.components().get(name, before)
        return after.pid != before.pid and stack.is_ready()

    poll_until(is_back, f"{name} is back", timeout_seconds=90)
    death = f"{name:<10} was ended by SIGKILL"
    assert any(death in line for line in stack.terminal().splitlines())


@pytest.mark.timeout(600)
def test_each_component_that_dies_is_named_and_comes_back(tmp_path: Path, tiny_base: Path) -> None:
    with running_stack(tmp_path / "data", bases={"tiny": tiny_base}) as stack:
        assert set(stack.components()) == set(COMPONENTS)
        for name in COMPONENTS:
            kill_and_await_return(stack, name)
        assert content(stack, upload(stack)) == ROWS


@pytest.mark.timeout(600)
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sigterm_and_kill_9_leave_no_process_and_lose_no_file(
    tmp_path: Path, tiny_base: Path
) -> None:
    data_dir = tmp_path / "data"
    with running_stack(data_dir, bases={"tiny": tiny_base}) as stack:
        first, connection = upload(stack), stack.connection
        processes = stack.processes()
        assert stat.S_IMODE((data_dir / "connection.json").stat().st_mode) == 0o600
        assert stack.stop() == 0
        assert gone(processes)
        assert not sockets(data_dir)
        assert not (data_dir / "connection.json").exists()

    with running_stack(data_dir, bases={"tiny": tiny_base}) as stack:
        assert stack.connection == connection
        assert content(stack, first) == ROWS
        second = upload(stack)
        processes = stack.processes()
        stack.process.kill()
        stack.process.wait()
        poll_until(lambda: gone(processes), "every process has ended", timeout_seconds=5)

    with running_stack(data_dir, bases={"tiny": tiny_base}) as stack:
        assert content(stack, second) == ROWS
        with stack.client() as client:
            assert {file.id for file in client.files.list()} == {first, second}
            assert [model.id for model in client.models.list()] == [
                "tiny",
                *Settings().embedders,
            ]
