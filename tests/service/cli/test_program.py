"""`tunery-server` as a program: what it offers, what it loads, how it fails."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def tunery_server(
    *arguments: str, variables: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    clean = {k: v for k, v in os.environ.items() if not k.startswith("TUNERY_")}
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env={**clean, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_process_is_a_command_of_its_own() -> None:
    shown = tunery_server("--help").stdout

    for command in (
        "up",
        "api",
        "worker",
        "engine",
        "reconciler",
        "db",
        "keys",
        "models",
        "doctor",
    ):
        assert f" {command} " in shown


def test_the_version_is_shown() -> None:
    answer = tunery_server("--version")

    assert answer.returncode == 0
    assert answer.stdout.startswith("tunery-server ")


def test_a_known_failure_is_one_line_on_stderr_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    answer = tunery_server("up", "--port", "0", "--data-dir", str(tmp_path / "file"))

    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith("tunery-server: The data directory")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["api", "worker", "engine", "reconciler", "doctor"])
def test_a_wrong_setting_is_named_by_every_command(command: str) -> None:
    answer = tunery_server(command, variables={"TUNERY_LEASE_SECONDS": "soon"})

    assert answer.returncode == 2
    assert "TUNERY_LEASE_SECONDS" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_base_model_option_without_a_source_is_refused(tmp_path: Path) -> None:
    answer = tunery_server("up", "--data-dir", str(tmp_path), "--base-model", "nameless")

    assert answer.returncode == 2
    assert "NAME=SOURCE" in answer.stderr


def test_the_command_line_itself_loads_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "sqlalchemy", "alembic", "redis", "rq", "boto3", "fastapi"}
    code = "import sys, service.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert heavy.isdisjoint(loaded.stdout.split())
