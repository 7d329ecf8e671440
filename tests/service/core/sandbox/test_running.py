"""What runs in the sandbox gives a number or a reason, reaches nothing, and ends in time."""

import asyncio
import os
import threading
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from service.core.sandbox.running import CallFailed, CallTookTooLong, Limits, Sandbox
from tests.polling import poll_until


def call(source: str, limits: Limits, **item: object) -> float:
    sample = {"output_text": "yes", "output_json": None}
    return asyncio.run(Sandbox(limits).call(dedent(source), sample=sample, item=item))


def body(*lines: str) -> str:
    return "\n    ".join(["def grade(sample, item):", *lines])


def fault(source: str, limits: Limits, **item: object) -> str:
    with pytest.raises(CallFailed) as caught:
        call(source, limits, **item)
    return str(caught.value)


def test_a_function_sees_sample_and_item_and_the_standard_library(limits: Limits) -> None:
    source = """
        import collections, datetime, decimal, difflib, hashlib, json, math, random, re, zlib

        def grade(sample, item):
            same = difflib.SequenceMatcher(None, sample["output_text"], item["want"]).ratio()
            return decimal.Decimal(re.sub("x", "", item["number"])) * 0 == 0 and same / 2
    """
    assert call(source, limits, want="yes", number="x12") == 0.5


@pytest.mark.parametrize(
    ("value", "reward"),
    [("1", 1), ("True", 1), ("-2.5", -2.5), ("__import__('fractions').Fraction(1, 4)", 0.25)],
)
def test_every_real_number_is_a_reward(value: str, reward: float, limits: Limits) -> None:
    assert call(body(f"return {value}"), limits) == reward


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (body("return float('nan')"), "nan"),
        (body("return float('inf')"), "inf"),
        (body("return '1'"), "returned a str"),
        (body("return None"), "returned a NoneType"),
        (body("return 1j"), "returned a complex"),
        (body("return 10 ** 400"), "Error"),
        (body("return item['no']"), "KeyError: 'no'"),
        (body("import numpy"), "No module named 'numpy'"),
        (body("raise SystemExit(0)"), "SystemExit"),
        (body("return grade(sample, item)"), "RecursionError"),
        ("def grade(:", "SyntaxError"),
        ("grade = 1", "defines no function"),
        ("x = 1", "defines no function"),
        (body("import os", "os._exit(0)"), "without an answer"),
        (body("import os", "os.abort()"), "ended by SIG"),
        (body("import ctypes", "ctypes.string_at(0)"), "ended by SIGSEGV"),
    ],
)
def test_what_is_no_reward_is_told_to_its_author(source: str, words: str, limits: Limits) -> None:
    assert words in fault(source, limits)


def test_the_traceback_shows_the_authors_lines_and_what_was_printed(limits: Limits) -> None:
    told = fault(body("print('before', sample)", "return 1 / 0  # here"), limits)
    assert "return 1 / 0  # here" in told
    assert "before {'output_text': 'yes'" in told
    assert "harness" not in told


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", "/proc/1/cmdline", "/dev/sda", "/home", "/var", "/sys"],
)
def test_the_hosts_files_are_not_there(path: str, limits: Limits) -> None:
    assert "FileNotFoundError" in fault(body(f"open({path!r}).read()"), limits)
    assert "FileNotFoundError" in fault(body(f"import os; os.listdir({path!r})"), limits)


def test_a_secret_of_the_host_cannot_be_read(limits: Limits, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    secret.chmod(0o644)
    source = body("return len(open(item['path']).read())")
    for path in (secret, Path(f"/.old{secret}"), Path(f"/tmp/../{secret}"), Path(__file__)):
        assert "FileNotFoundError" in fault(source, limits, path=str(path))


def test_packages_of_the_service_are_not_there(limits: Limits) -> None:
    names = "['pydantic', 'sqlalchemy', 'httpx2', 'pip']"
    lines = [
        "import importlib.util, os, sysconfig",
        "site = os.path.join(os.path.dirname(os.__file__), 'site-packages')",
        "assert not os.path.isdir(site) or not os.listdir(site)",
        f"return sum(importlib.util.find_spec(name) is not None for name in {names})",
    ]
    assert call(body(*lines), limits) == 0


def test_the_environment_and_the_command_line_hold_nothing(
    limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNERY_INTERNAL_TOKEN", "secret-in-the-environment")
    lines = [
        "import os, sys",
        "assert os.uname().nodename == 'grader'",
        "assert 'secret' not in repr((dict(os.environ), sys.argv, sys.orig_argv))",
        "return len({*os.environ} - {'LC_CTYPE'})",
    ]
    assert call(body(*lines), limits) == 0


@pytest.mark.parametrize(
    "line",
    [
        "socket.socket()",
        "socket.socket(socket.AF_UNIX)",
        "socket.socketpair()",
        "socket.create_connection(('127.0.0.1', item['port']), 5)",
        "__import__('urllib.request').request.urlopen('http://192.0.2.1')",
    ],
)
def test_there_is_no_network(line: str, limits: Limits) -> None:
    told = fault(body("import socket", line), limits, port=9)
    assert "Operation not permitted" in told


@pytest.mark.parametrize(
    "line",
    [
        "os.fork()",
        "os.execv('/usr/lib/x', ['x'])",
        "os.posix_spawn('/bin/sh', ['sh'], {})",
        "os.kill(os.getppid(), 9)",
        "os.kill(-1, 9)",
        "os.killpg(0, 9)",
        "os.setsid()",
        "os.setuid(0)",
        "os.chroot('/tmp')",
        "os.mkfifo('/tmp/x')",
        "os.memfd_create('x')",
        "os.chmod('/tmp', 0o777)",
        "__import__('subprocess').run(['true'])",
        "__import__('multiprocessing').Process(target=print).start()",
    ],
)
def test_processes_signals_and_privileges_are_refused(line: str, limits: Limits) -> None:
    assert "PermissionError" in fault(body("import os", line), limits)


def test_limits_cannot_be_moved(limits: Limits) -> None:
    line = "resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))"
    assert "not allowed" in fault(body("import resource", line), limits)


def test_nothing_can_be_written_but_a_little_below_tmp(limits: Limits) -> None:
    assert call(body("open('/tmp/x', 'w').write('x')", "return len(open('/tmp/x').read())"), limits)
    for path in ("/x", "/usr/lib/x", "/tmp/../x"):
        assert "OSError" in fault(body(f"open({path!r}, 'w')"), limits)
    fill = body("for n in range(99):", "    open(f'/tmp/{n}', 'wb').write(bytes(2 ** 20))")
    assert "No space left" in fault(fill, limits)
    big = body(
        "with open('/tmp/x', 'wb') as file:", "    [file.write(bytes(2**20)) for _ in range(99)]"
    )
    assert "File too large" in fault(big, limits)


def test_one_call_leaves_nothing_to_the_next(limits: Limits) -> None:
    source = body(
        "import os", "there = os.path.exists('/tmp/x')", "open('/tmp/x', 'w')", "return there"
    )
    assert [call(source, limits), call(source, limits)] == [0, 0]


@pytest.mark.parametrize(
    "lines",
    [
        ["held = [bytearray(2 ** 20) for _ in range(10 ** 6)]"],
        ["held = 'x' * 10 ** 12"],
        ["held = []", "while True: held.append([0] * 10 ** 6)"],
    ],
)
def test_memory_is_bounded(lines: list[str], limits: Limits) -> None:
    assert "MemoryError" in fault(body(*lines), limits)


def test_threads_are_bounded(limits: Limits) -> None:
    lines = [
        "import threading, time",
        "for _ in range(1000):",
        "    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    ]
    assert "can't start new thread" in fault(body(*lines), limits)


@pytest.mark.parametrize(
    "line", ["while True: pass", "__import__('time').sleep(600)", "10 ** 10 ** 10", "input()"]
)
def test_time_is_bounded(line: str, limits: Limits) -> None:
    source = body("try:", f"    {line}", "except EOFError:", "    __import__('time').sleep(600)")
    with pytest.raises(CallTookTooLong, match=r"longer than 0\.5 seconds"):
        call(source, replace(limits, seconds=0.5))


def test_output_without_end_costs_nothing(limits: Limits) -> None:
    lines = [
        "import os, sys",
        "for _ in range(2000): print('x' * 10 ** 5)",
        "for out in (1, 2): os.write(out, bytes(10 ** 7))",
        "raise ValueError('y' * 10 ** 6)",
    ]
    assert len(fault(body(*lines), limits)) < 10_000


def test_an_answer_without_end_is_cut_off(limits: Limits) -> None:
    """The file that answers go to is the stranger's as well."""
    told = fault(body("import os", "while True: os.write(3, bytes(10 ** 6))"), limits)
    assert "ended" in told


@pytest.mark.parametrize(
    "answer",
    [
        '{"reward": NaN}',
        '{"reward": 1e999}',
        '{"reward": 1' + "0" * 400 + "}",
        '{"reward": "x"}',
        '{"reward": [1]}',
        '["fault"]',
        "null",
        "[" * 5000,
        '{"reward": 1}{"reward": 1}',
    ],
)
def test_a_forged_answer_is_a_number_or_a_fault(answer: str, limits: Limits) -> None:
    lines = ["import os", f"os.write(3, {answer.encode()!r})", "os._exit(0)"]
    assert "answer" in fault(body(*lines), limits)


def test_what_is_told_can_be_told_on(limits: Limits) -> None:
    told = fault(body(r"raise ValueError('\ud800 and \0')"), limits)
    assert "ValueError: ? and" in told
    told.encode()
    assert "\0" not in told


def test_other_files_of_the_process_are_closed(limits: Limits) -> None:
    lines = [
        "import os",
        "def is_open(number):",
        "    try: os.fstat(number)",
        "    except OSError: return False",
        "    return True",
        "return sum(map(is_open, range(4, 5000)))",
    ]
    assert call(body(*lines), limits) == 0


def test_nobody_else_hears_of_a_call_that_is_cancelled(limits: Limits) -> None:
    """A client that leaves ends its grader, children included."""

    others = _children()  # servers of the whole run

    async def cancelled() -> set[int]:
        calling = asyncio.create_task(
            Sandbox(limits).call(body("while True: pass"), sample={}, item={})
        )
        while not (started := _children() - others):
            await asyncio.sleep(0.05)
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        return started

    started = asyncio.run(cancelled())
    poll_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), "it is gone")


def _children() -> set[int]:
    path = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return {*map(int, path.read_text().split())}


def test_a_folder_of_packages_can_be_imported(limits: Limits, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "house_rules.py").write_text("STRICTNESS = 0.75")
    lines = ["import house_rules", "return house_rules.STRICTNESS"]
    assert call(body(*lines), replace(limits, packages=tmp_path)) == 0.75
    write = body("open('/packages/x', 'w')")
    assert "Read-only" in fault(write, replace(limits, packages=tmp_path))


def test_a_service_that_hides_its_own_files_hides_no_library(limits: Limits) -> None:
    before = os.umask(0o077)
    try:
        assert call(body("import tomllib", "return 1"), limits) == 1
    finally:
        os.umask(before)


def test_calls_run_side_by_side(limits: Limits) -> None:
    async def both() -> list[float]:
        sandbox = Sandbox(limits)
        calls = (sandbox.call(body(f"return {n}"), sample={}, item={}) for n in range(6))
        return await asyncio.gather(*calls)

    assert asyncio.run(both()) == [0, 1, 2, 3, 4, 5]
