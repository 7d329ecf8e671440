"""An organisation moves in through every process of ours; its migration is killed on the way."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT, RunningStack, running_stack
from tests.fakes.openai_source import (
    BASE,
    FIRST_MODEL,
    SECOND_MODEL,
    SOURCE_KEY,
    RunningSource,
    acme,
    running_source,
)
from tests.polling import poll_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[RunningStack]:
    data_dir = tmp_path_factory.mktemp("stack") / "data"
    with running_stack(data_dir, bases={"tiny": tiny_base}) as running:
        yield running


@pytest.fixture
def source() -> Iterator[RunningSource]:
    organization = acme()
    organization.files["file-long"] = ("long.jsonl", organization.files["file-desk"][1])
    with running_source(organization, limit_every=6, drop_every=23) as running:
        yield running


def migrating(
    stack: RunningStack, source: RunningSource, folder: Path, *options: str
) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", "from tunery._cli import main; main()", "migrate", "openai"]
    command += ["--source-base-url", source.url, "--map", f"{BASE}=tiny", "--workdir", str(folder)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "clients/python/src"),
        "TUNERY_BASE_URL": str(stack.connection["base_url"]),
        "TUNERY_API_KEY": str(stack.connection["api_key"]),
        "TUNERY_SOURCE_API_KEY": SOURCE_KEY,
    }
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *options], env=environment, stdout=pipe, text=True)


def test_a_killed_migration_goes_on_and_both_models_answer_to_their_old_names(
    stack: RunningStack, source: RunningSource, tmp_path: Path
) -> None:
    folder = tmp_path / "migration"
    with migrating(stack, source, folder) as killed:
        notes = folder / "state.json"
        poll_until(lambda: notes.exists() and "ftjob-first" in notes.read_text(), "a job is made")
        killed.send_signal(signal.SIGKILL)
    with migrating(stack, source, folder) as finished:
        table, _ = finished.communicate(timeout=240)

    assert finished.returncode == 0, table
    with stack.client() as sdk:
        jobs = {
            str((job.metadata or {})["migrated_from"]): job for job in sdk.fine_tuning.jobs.list()
        }
        answers = {
            name: sdk.chat.completions.create(
                model=name, messages=[{"role": "user", "content": "Who?"}], max_tokens=4
            ).model
            for name in (FIRST_MODEL, SECOND_MODEL)
        }
        assert len(list(sdk.fine_tuning.jobs.list())) == 2
    assert answers == {
        FIRST_MODEL: jobs["ftjob-first"].fine_tuned_model,
        SECOND_MODEL: jobs["ftjob-second"].fine_tuned_model,
    }


def test_a_captured_model_is_trained_judged_and_named(
    stack: RunningStack, source: RunningSource, tmp_path: Path
) -> None:
    options = ("--capture", "--job", "ftjob-first", "--max-tokens", "24")
    with migrating(stack, source, tmp_path / "captured", *options) as capturing:
        table, _ = capturing.communicate(timeout=240)

    assert capturing.returncode == 0, table
    assert "token F1" in table
    with stack.client() as sdk:
        (job,) = [j for j in sdk.fine_tuning.jobs.list() if "captured_from" in (j.metadata or {})]
        assert job.status == "succeeded"
        assert sdk.models.retrieve(FIRST_MODEL).id == job.fine_tuned_model
