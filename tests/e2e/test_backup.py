"""The whole service is backed up, destroyed and restored: models answer, a paused job goes on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT, running_stack
from tests.e2e.test_training import ask, create, messages, step_of, wait
from tests.polling import poll_until

ENVIRONMENT = {"TUNERY_ENGINE_DTYPE": "float32", "TUNERY_LEASE_SECONDS": "6"}


def operate(data_dir: Path, *arguments: str) -> str:
    """A command of the operator; what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        env={**os.environ, "TUNERY_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow  # two starts of the whole stack
@pytest.mark.timeout(600)
def test_a_destroyed_service_comes_back_from_its_backup(tmp_path: Path, tiny_base: Path) -> None:
    data_dir, backups = tmp_path / "data", tmp_path / "backups"
    with (
        running_stack(data_dir, bases={"tiny": tiny_base}, environment=ENVIRONMENT) as stack,
        stack.client() as sdk,
    ):
        model = wait(sdk, create(sdk, "A red fox.")).fine_tuned_model or ""
        answer, key = ask(sdk, model), stack.connection["api_key"]
        job = create(sdk, "A brown bear.", n_epochs=50)
        poll_until(lambda: step_of(sdk, job) > 0, "training is under way", timeout_seconds=60)
        sdk.fine_tuning.jobs.pause(job.id)
        poll_until(
            lambda: any("stopped for the pause" in message for message in messages(sdk, job)),
            "the attempt has let go",
        )
        stopped = next(iter(sdk.fine_tuning.jobs.checkpoints.list(job.id))).step_number
        assert "Backup 2" in operate(data_dir, "backup", "--to", str(backups))
    shutil.rmtree(data_dir)

    assert "is restored" in operate(data_dir, "restore", "--from", str(backups))

    with (
        running_stack(data_dir, bases={"tiny": tiny_base}, environment=ENVIRONMENT) as stack,
        stack.client() as sdk,
    ):
        assert stack.connection["api_key"] == key
        assert ask(sdk, model) == answer
        assert str(sdk.fine_tuning.jobs.retrieve(job.id).status) == "paused"
        sdk.fine_tuning.jobs.resume(job.id)
        assert wait(sdk, job).status == "succeeded"
        assert any(f"after step {stopped}" in message for message in messages(sdk, job))
