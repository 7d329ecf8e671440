"""A job outlives the processes that run it."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.e2e.stack import RunningStack, running_stack
from tests.polling import poll_until

UNFINISHED = {"validating_files", "queued", "running"}
EPOCHS = 50
"""Of 20 rows: long enough to be killed in the middle, even on a quick machine."""


def rows() -> bytes:
    lines = []
    for number in range(20):
        question = {"role": "user", "content": f"Hi {number}"}
        answer = {"role": "assistant", "content": "Hello"}
        lines.append(json.dumps({"messages": [question, answer]}))
    return "\n".join(lines).encode()


def start_job(client: openai.OpenAI) -> str:
    file = client.files.create(file=("rows.jsonl", rows()), purpose="fine-tune")
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": EPOCHS}}}
    job = client.fine_tuning.jobs.create(
        model="tiny",
        training_file=file.id,
        method=method,  # type: ignore[arg-type]
    )
    return job.id


def details(client: openai.OpenAI, job_id: str) -> dict[str, Any]:
    """The job with our own fields."""
    return client.fine_tuning.jobs.retrieve(job_id).to_dict()


def train_and_kill(stack: RunningStack, client: openai.OpenAI, victim: str) -> dict[str, Any]:
    """The job as it ends."""
    job_id = start_job(client)

    def trains() -> bool:
        progress = details(client, job_id)["progress"]
        return progress is not None and progress["step"] >= 3

    poll_until(trains, "it trains", timeout_seconds=60)
    stack.components()[victim].kill()
    poll_until(
        lambda: details(client, job_id)["status"] not in UNFINISHED, "it ends", timeout_seconds=240
    )
    return details(client, job_id)


@pytest.mark.timeout(600)
def test_a_job_succeeds_though_its_worker_or_its_engine_is_killed(
    tmp_path: Path, tiny_base: Path
) -> None:
    with (
        running_stack(tmp_path / "data", bases={"tiny": tiny_base}) as stack,
        stack.client() as client,
    ):
        for victim in ("worker", "engine"):
            job = train_and_kill(stack, client, victim)

            assert (job["status"], job["error"]) == ("succeeded", None)
            assert job["attempts"] >= 2
            assert job["fine_tuned_model"] in {model.id for model in client.models.list()}
