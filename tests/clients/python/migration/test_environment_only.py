"""A script written for OpenAI runs here with only its environment changed."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from tests.clients.python.migration.mover import Workplace
from tests.fakes.openai_source import (
    BASE,
    FIRST_MODEL,
    SOURCE_KEY,
    RunningSource,
    acme,
    running_source,
)
from tunery import Tunery
from tunery._cli.app import app

SCRIPT = f"""
from openai import OpenAI

client = OpenAI()
answer = client.chat.completions.create(
    model="{FIRST_MODEL}", messages=[{{"role": "user", "content": "Who are you?"}}]
)
print(answer.choices[0].message.content)
rows = client.files.create(file=("rows.jsonl", b'{{"messages": []}}'), purpose="fine-tune")
job = client.fine_tuning.jobs.create(model="{BASE}", training_file=rows.id)
print(client.fine_tuning.jobs.retrieve(job.id).model)
"""


@pytest.fixture
def source() -> Iterator[RunningSource]:
    with running_source(acme()) as running:
        yield running


def run_script(base_url: str, api_key: str) -> list[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "TUNERY_"))}
    environment = {**inherited, "OPENAI_BASE_URL": base_url, "OPENAI_API_KEY": api_key}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return ran.stdout.splitlines()


def test_the_old_script_runs_with_only_its_environment_changed(
    workplace: Workplace, source: RunningSource
) -> None:
    workplace.migrate(source)

    said = run_script(f"{workplace.api.url}/v1", workplace.tenant.key)

    assert said == ["I am new.", BASE]


def test_the_command_says_what_became_of_everything(
    workplace: Workplace, source: RunningSource
) -> None:
    def tunery(*options: str) -> Result:
        def connect() -> Tunery:
            return workplace.client()

        command = ["migrate", "openai", "--source-base-url", source.url]
        command += ["--source-api-key", SOURCE_KEY, "--workdir", str(workplace.folder)]
        return CliRunner().invoke(app, [*command, *options], obj=connect)

    mapping = ("--map", f"{BASE}=smollm2-135m-instruct")
    dry = tunery(*mapping, "--dry-run")
    made = tunery(*mapping, "--no-wait")
    wrong = tunery("--map", "gpt-4o")

    assert dry.exit_code == 0, dry.output
    assert "planned" in dry.stdout
    assert made.exit_code == 0, made.output
    assert "run this again" in made.stdout
    assert "--map gpt-4.1-2025-04-14=BASE" in made.stdout
    assert wrong.exit_code == 2
    assert len(workplace.end_state()["jobs"]) == 2
