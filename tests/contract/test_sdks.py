"""Official SDKs, new and old, through every operation; each answer has the published shape."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.core.domain.jobs import JobStatus
from service.core.domain.work import WorkKind
from service.core.repositories.jobs import JobRepository
from service.core.repositories.work import WorkRepository
from tests.contract.environments import node_environment, python_environment
from tests.contract.published import all_operations, faults_of, operation_of
from tests.contract.recording import Recording, recording_proxy
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.fakes.receiver import running_receiver
from tests.running_api import RunningApi, Tenant
from tests.service.core.builders import add_job

_TOURS = Path(__file__).parent / "tours"
_UNKNOWN_TO_2_0 = {name for name in all_operations() if "/webhook" in name}
"""That version can verify a webhook, and not make one."""


def _newest_python(_: Path) -> list[str]:
    return [sys.executable, str(_TOURS / "tour.py")]


def _oldest_python(_: Path) -> list[str]:
    return [str(python_environment("contract-openai-2")), str(_TOURS / "tour.py")]


def _node(folder: Path) -> list[str]:
    shutil.copy(_TOURS / "tour.mjs", folder)
    (folder / "node_modules").symlink_to(node_environment() / "node_modules")
    return ["node", str(folder / "tour.mjs")]


@pytest.fixture
def there(api: RunningApi, engine: FakeEngine, tenant: Tenant) -> Iterator[dict[str, str]]:
    """What a tour finds: a tuned model, a job that a worker could take, a neighbour, a receiver."""
    assert FAKE_BASE in engine.bases
    tuned = f"ft:{FAKE_BASE.name}:acme:tour:{tenant.key[-8:]}"
    tuned_job = api.publish_model(tenant, tuned, "0" * 64)
    scope = tenant.principal.scope
    with api.database.transaction() as connection:
        queued = add_job(connection, scope, base=FAKE_BASE.name)
        JobRepository(connection, scope).move(queued.id, JobStatus.QUEUED)
        work = WorkRepository(connection)
        work.add(scope.project_id, WorkKind.TRAINING, queued.id, pool="default")
    other = api.new_project(scope.organization, "other")
    with running_receiver() as receiver:
        yield {
            "key": tenant.key,
            "base": FAKE_BASE.name,
            "embedder": FAKE_EMBEDDER.name,
            "tuned": tuned,
            "tuned_job": tuned_job,
            "queued_job": queued.id,
            "other_project": other.principal.scope.project_id,
            "hook_url": receiver.url,
        }


@pytest.fixture
def recording(api: RunningApi) -> Iterator[Recording]:
    with recording_proxy(api.url) as running:
        yield running


def take_tour(command: list[str], there: dict[str, str], recording: Recording) -> None:
    base_url = f"{recording.url}/v1"
    done = subprocess.run(
        command,
        env={
            **os.environ,
            "TOUR": json.dumps({**there, "base_url": base_url}),
            "OPENAI_BASE_URL": base_url,
            "OPENAI_API_KEY": there["key"],
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def assert_published_shapes(recording: Recording) -> None:
    faults = [fault for answer in recording.answers for fault in faults_of(answer)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        pytest.param(_newest_python, set(), id="python 3.57"),
        pytest.param(_oldest_python, _UNKNOWN_TO_2_0, id="python 2.0"),
        pytest.param(_node, set(), id="node 7.57"),
    ],
)
def test_an_sdk_drives_every_operation_and_reads_published_shapes(
    there: dict[str, str],
    recording: Recording,
    tmp_path: Path,
    command: Callable[[Path], list[str]],
    unknown: set[str],
) -> None:
    take_tour(command(tmp_path), there, recording)

    visited = {operation_of(answer) for answer in recording.answers}
    assert visited == all_operations() - unknown
    assert_published_shapes(recording)


@pytest.mark.slow
def test_llama_index_litellm_and_langchain_work_as_they_are(
    api: RunningApi, tenant: Tenant, there: dict[str, str], recording: Recording
) -> None:
    with api.database.transaction() as connection:
        jobs = JobRepository(connection, tenant.principal.scope)
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            jobs.move(there["tuned_job"], status)
        jobs.move(there["tuned_job"], JobStatus.SUCCEEDED, reserved_model_name=there["tuned"])
    interpreter = python_environment("contract-ecosystem", borrows=True)

    take_tour([str(interpreter), str(_TOURS / "ecosystem.py")], there, recording)

    assert_published_shapes(recording)
