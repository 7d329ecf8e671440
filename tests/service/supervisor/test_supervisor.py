"""A stack starts in stages, stays up, and ends in order with nothing left behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from service.core.errors import ConfigurationError
from service.supervisor.keeper import ComponentFailed, RestartPolicy
from service.supervisor.supervisor import KILLED, Stage
from tests.polling import poll_until
from tests.service.supervisor.fakes import IDLE, OBEDIENT, Run, is_alive, pid_of, shell, stop_now


def test_a_stage_starts_when_the_one_before_is_ready(run: Run, tmp_path: Path) -> None:
    first = shell("first", tmp_path, f"sleep 0.1; {OBEDIENT}{IDLE}")
    second = shell("second", tmp_path, f"test -e first.pid && {OBEDIENT}{IDLE}")

    assert run([first], [second]) == 0
    assert [line.split(" in ")[0] for line in run.lines[:2]] == ["first: ready", "second: ready"]


def test_components_stop_in_order_and_none_is_left(run: Run, tmp_path: Path) -> None:
    names = ["a", "b", "c"]

    assert run([shell(name, tmp_path) for name in names]) == 0

    assert (tmp_path / "stopped").read_text().split() == ["c", "b", "a"]
    assert not any(is_alive(pid_of(name, tmp_path)) for name in names)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_polite_signal_ends_a_run_with_0(
    run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    async def send() -> None:
        os.kill(os.getpid(), number)

    assert run([shell("a", tmp_path)], when_ready=send) == 0
    assert (tmp_path / "stopped").exists()


def test_a_component_that_dies_is_named_and_starts_again(run: Run, tmp_path: Path) -> None:
    async def kill_it_once() -> None:
        os.kill(pid_of("a", tmp_path), signal.SIGSEGV)
        await run.said("was ended by SIGSEGV")
        while sum("ready in" in line for line in run.lines) < 2:
            await asyncio.sleep(0.01)
        await stop_now()

    assert run([shell("a", tmp_path)], when_ready=kill_it_once) == 0
    assert "a: was ended by SIGSEGV" in run.lines


def test_its_exit_code_is_told(run: Run, tmp_path: Path) -> None:
    async def wait_for_the_end() -> None:
        await run.said("a: ended with exit code 3")
        await stop_now()

    run([shell("a", tmp_path, "echo $$ > a.pid; sleep 0.3; exit 3")], when_ready=wait_for_the_end)


def test_five_failed_starts_in_a_row_end_the_run_with_the_end_of_the_log(
    run: Run, tmp_path: Path
) -> None:
    healthy = shell("healthy", tmp_path)
    script = "echo start >> starts; seq -f 'line %g' 30; exit 7"
    doomed = shell("doomed", tmp_path, script, is_ready=lambda _: False)

    with pytest.raises(ComponentFailed, match="doomed failed to start 5 times") as failure:
        run([healthy, doomed])

    assert (tmp_path / "starts").read_text().count("start") == 5
    assert failure.value.message.splitlines()[1:] == [f"  line {n}" for n in range(11, 31)]
    assert not is_alive(pid_of("healthy", tmp_path))


def test_a_program_that_cannot_be_run_is_a_failed_start(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ComponentFailed):
        run([shell("a", tmp_path, command=["/no/such/program"])])

    assert "a: cannot be started: [Errno 2] No such file or directory" in run.lines[0]


def test_one_that_never_gets_ready_is_killed_and_counts_as_failed(run: Run, tmp_path: Path) -> None:
    mute = shell("mute", tmp_path, IDLE, is_ready=lambda _: False, ready_seconds=0.05)

    with pytest.raises(ComponentFailed):
        run([mute])


def test_deaths_after_being_ready_never_end_the_run(run: Run, tmp_path: Path) -> None:
    async def wait_for_many_deaths() -> None:
        while sum("exit code 1" in line for line in run.lines) < 8:
            await asyncio.sleep(0.01)
        await stop_now()

    fickle = shell("a", tmp_path, "sleep 0.05; exit 1", is_ready=lambda _: True)

    assert run([fickle], when_ready=wait_for_many_deaths) == 0


def test_the_pause_before_a_restart_grows_from_half_a_second_to_half_a_minute() -> None:
    pauses = [RestartPolicy().pause_seconds(deaths) for deaths in range(1, 9)]

    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


def test_what_ignores_the_stop_is_killed_after_its_share(run: Run, tmp_path: Path) -> None:
    run.drain_seconds = 1
    stubborn = shell("stubborn", tmp_path, f"trap '' TERM; echo $$ > stubborn.pid; {IDLE}")

    assert run([stubborn, shell("polite", tmp_path)]) == 0

    assert "stubborn: did not stop within 0.1 s: killed" in run.lines
    assert not is_alive(pid_of("stubborn", tmp_path))
    assert (tmp_path / "stopped").read_text().split() == ["polite"]


def test_a_second_signal_kills_everything_at_once(run: Run, tmp_path: Path) -> None:
    run.drain_seconds = 6000
    stubborn = shell("stubborn", tmp_path, f"trap 'echo asked' TERM; echo $$ > a.pid; {IDLE}",
                     is_ready=lambda _: (tmp_path / "a.pid").exists())  # fmt: skip

    async def send_twice() -> None:
        asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGINT)
        await stop_now()

    assert run([stubborn], when_ready=send_twice) == KILLED
    assert not is_alive(pid_of("a", tmp_path))


def test_what_a_component_leaves_in_its_group_ends_with_it(run: Run, tmp_path: Path) -> None:
    parent = shell(
        "parent", tmp_path, "(echo $$; exec sleep 600) & echo $! > child.pid; echo $$ > parent.pid;"
        "trap 'exit 0' TERM; " + IDLE,
    )  # fmt: skip

    assert run([parent]) == 0
    poll_until(lambda: not is_alive(pid_of("child", tmp_path)), "the rest is gone too")


def test_a_preparation_that_fails_ends_the_run_in_order(run: Run, tmp_path: Path) -> None:
    def fail() -> None:
        raise ConfigurationError("the database is in Timbuktu")

    with pytest.raises(ConfigurationError, match="Timbuktu"):
        run(Stage([shell("a", tmp_path)], fail))

    assert not (tmp_path / "a.pid").exists() or not is_alive(pid_of("a", tmp_path))


def test_a_component_runs_at_its_niceness_in_a_session_of_its_own(run: Run, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    async def look() -> None:
        pid = pid_of("a", tmp_path)
        seen["nice"] = os.getpriority(os.PRIO_PROCESS, pid)
        seen["own session"] = os.getsid(pid) == pid
        await stop_now()

    run([shell("a", tmp_path, nice=19)], when_ready=look)

    assert seen == {"nice": 19, "own session": True}


def test_each_start_of_a_stack_begins_a_new_log_and_keeps_the_one_before(
    run: Run, tmp_path: Path
) -> None:
    for number in (1, 2):
        run([shell("a", tmp_path, f"echo run {number}; {OBEDIENT}{IDLE}")])

    assert (tmp_path / "a.log").read_text() == "run 2\n"
    assert (tmp_path / "a.log.1").read_text() == "run 1\n"
