"""The tunery client against the real api; what workers would write is written by hand."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from service.core.domain.jobs import JobStatus, NewEvent
from service.core.engine_protocol import HeadSpec
from service.core.ledger import Ledger
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.operations import OperationRepository
from service.core.storage import ObjectStore
from tests.fakes.engine import FakeEngine
from tests.running_api import RunningApi, Tenant
from tunery import (
    AsyncTunery,
    AuthenticationError,
    BadRequestError,
    FineTuningJob,
    NotFoundError,
    Tunery,
    UploadState,
)
from tunery._cli.app import app
from tunery._parts import PARTED_ABOVE

BASE = "smollm2-135m-instruct"
ROWS = b'{"prompt": "a", "completion": "b"}\n'
STEP = {"step": 3, "total_steps": 9, "train_loss": 0.5}


@pytest.fixture
def client(api: RunningApi, tenant: Tenant, engine: FakeEngine) -> Iterator[Tunery]:
    assert engine.bases[0].name == BASE
    with Tunery(base_url=f"{api.url}/v1", api_key=tenant.key, max_retries=0) as client:
        yield client


@pytest.fixture
def job(client: Tunery) -> FineTuningJob:
    file = client.files.upload(ROWS, filename="rows.jsonl")
    return client.fine_tuning.jobs.create(
        model=BASE, training_file=file.id, suffix="desk", metadata={"customer": "acme"}
    )


def start(api: RunningApi, tenant: Tenant, job: FineTuningJob) -> None:
    """What a worker writes up to the third step."""
    with api.database.transaction() as connection:
        jobs = JobRepository(connection, tenant.principal.scope)
        jobs.move(job.id, JobStatus.QUEUED)
        jobs.move(job.id, JobStatus.RUNNING, attempts=1)
        EventRepository(connection, tenant.principal.scope).append(
            job.id, [NewEvent("Step 3", type="metrics", data=STEP)]
        )


def test_files_go_up_and_come_down(client: Tunery, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(ROWS * 1000)
    file = client.files.upload(path)
    assert (file.filename, file.purpose, file.bytes) == ("rows.jsonl", "fine-tune", 35_000)
    assert client.files.content(file.id) == ROWS * 1000
    assert [found.id for found in client.files.list(purpose="fine-tune")] == [file.id]
    assert client.files.delete(file.id).deleted
    with pytest.raises(NotFoundError) as caught:
        client.files.retrieve(file.id)
    assert caught.value.code == "file_not_found"
    assert caught.value.request_id


def test_lists_of_jobs_are_read_over_all_pages(client: Tunery) -> None:
    file = client.files.upload(ROWS)
    made = [
        client.fine_tuning.jobs.create(model=BASE, training_file=file.id, seed=seed).id
        for seed in range(5)
    ]
    assert [found.id for found in client.fine_tuning.jobs.list(limit=2)] == made[::-1]


def test_jobs_are_found_by_metadata(client: Tunery, job: FineTuningJob) -> None:
    assert job.status == "validating_files"
    found = client.fine_tuning.jobs.list(metadata={"customer": "acme"})
    assert [each.id for each in found] == [job.id]
    assert not list(client.fine_tuning.jobs.list(metadata={"customer": "other"}))


def test_waiting_hears_events_and_ends_with_the_job(
    api: RunningApi, tenant: Tenant, client: Tunery, job: FineTuningJob
) -> None:
    start(api, tenant, job)
    heard: list[str] = []

    def cancel_once_running(seen: FineTuningJob) -> None:
        if seen.status == "running":
            client.fine_tuning.jobs.cancel(job.id)

    done = client.fine_tuning.jobs.wait(
        job,
        on_event=lambda event: heard.append(event.message),
        on_job=cancel_once_running,
        poll_seconds=0.01,
    )
    assert done.status == "cancelled"
    assert heard[0].startswith("Created")
    assert "Step 3" in heard


def test_a_job_is_paused_and_resumed(
    api: RunningApi, tenant: Tenant, client: Tunery, job: FineTuningJob
) -> None:
    with pytest.raises(BadRequestError):  # its files are being validated
        client.fine_tuning.jobs.pause(job.id)
    start(api, tenant, job)

    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    assert client.fine_tuning.jobs.retrieve(job.id).status == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"


def test_chat_answers_whole_and_streamed(client: Tunery) -> None:
    messages = [{"role": "user", "content": "Who are you?"}]
    whole = client.chat.completions.create(model=BASE, messages=messages, temperature=0)
    stream = client.chat.completions.stream(model=BASE, messages=messages, temperature=0)
    assert whole.text == "I am the base."
    assert "".join(chunk.text for chunk in stream) == "I am the base."


def test_errors_arrive_as_classes(api: RunningApi, client: Tunery) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "?"}])
    assert caught.value.code == "model_not_found"
    with pytest.raises(BadRequestError) as refused:
        client.fine_tuning.jobs.create(model=BASE, training_file="file-nope")
    assert refused.value.param == "training_file"
    with (
        Tunery(base_url=f"{api.url}/v1", api_key="sk-wrong") as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.models.list().page()


@pytest.mark.usefixtures("engine")
def test_the_asynchronous_client_streams(api: RunningApi, tenant: Tenant) -> None:
    async def ask() -> str:
        async with AsyncTunery(base_url=f"{api.url}/v1", api_key=tenant.key) as asking:
            base = (await asking.models.list().page()).data[0].id
            stream = await asking.chat.completions.stream(
                model=base, messages=[{"role": "user", "content": "Who are you?"}]
            )
            return "".join([chunk.text async for chunk in stream])

    assert asyncio.run(ask()) == "I am the base."


def test_the_command_line_speaks_with_the_server(
    client: Tunery, api: RunningApi, tenant: Tenant, tmp_path: Path
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(ROWS)

    def tunery(*arguments: str) -> Result:
        def connect() -> Tunery:
            return Tunery(base_url=f"{api.url}/v1", api_key=tenant.key)

        result = CliRunner().invoke(app, list(arguments), obj=connect)
        assert result.exit_code == 0, result.output
        return result

    assert "ftjob-" in tunery("jobs", "create", str(rows), "--lora-rank", "4", "--seed", "3").stdout
    job_id = client.fine_tuning.jobs.list().page().data[0].id
    assert job_id in tunery("jobs", "list").stdout
    assert "validating_files" in tunery("jobs", "get", job_id).stdout
    assert "Created" in tunery("jobs", "logs", job_id).stdout
    assert "cancelled" in tunery("jobs", "cancel", job_id).stdout
    assert BASE in tunery("models", "list").stdout
    assert tunery("models", "alias", "old", BASE).stdout == f"old means {BASE}\n"
    assert "old" in tunery("models", "aliases").stdout
    assert "old" in tunery("models", "unalias", "old").stdout
    assert tunery("chat", "Who are you?", "--temperature", "0").stdout == "I am the base.\n"


def test_models_get_further_names_and_lose_them(client: Tunery, api: RunningApi) -> None:
    for name in ("one", "two", "ft:gpt-4o:acme::AbC"):
        client.models.aliases.set(name, model=BASE)
    assert [each.alias for each in client.models.aliases.list(limit=2)] == [
        "ft:gpt-4o:acme::AbC",
        "two",
        "one",
    ]
    messages = [{"role": "user", "content": "Who are you?"}]
    assert client.chat.completions.create(model="one", messages=messages).model == BASE
    assert client.models.aliases.delete("ft:gpt-4o:acme::AbC").deleted
    assert [each.alias for each in client.models.aliases.list()] == ["two", "one"]


RECEIPT = {
    "job": "ftjob",
    "model": "ft",
    "base": BASE,
    "base_digest": "b",
    "data": {"training_file": "d"},
    "method": {"type": "supervised"},
    "tuning": {"type": "lora"},
    "seed": 1,
    "exact": False,
    "attempts": 1,
    "steps": 3,
    "mixed_steps": 0,
    "unmixed": True,
    "checkpoint": {"step": 3, "digest": "c"},
    "worker": {},
    "engine": {},
}


@pytest.fixture
def recorded(api: RunningApi, tenant: Tenant, job: FineTuningJob) -> FineTuningJob:
    """With everything that a worker leaves on record."""
    start(api, tenant, job)
    ledger = Ledger()
    ledger.add(1, [(line, float(line), 1.0) for line in range(1, 4)])
    contents = {"rows": ledger.to_bytes(), "receipt": json.dumps(RECEIPT).encode()}
    for name, content in contents.items():
        ObjectStore.from_settings(api.settings).put_bytes(f"{job.id}/{name}", content)
    with api.database.transaction() as connection:
        jobs = JobRepository(connection, tenant.principal.scope)
        jobs.note_artefacts(job.id, {name: f"{job.id}/{name}" for name in contents})
        jobs.move(job.id, JobStatus.SUCCEEDED)
    return job


def test_a_job_s_records_are_read(client: Tunery, recorded: FineTuningJob) -> None:
    jobs = client.fine_tuning.jobs
    assert [p.value for p in jobs.metrics(recorded.id, points=2).series["train_loss"]] == [0.5]
    page = jobs.rows(recorded.id, kind="hardest", limit=2)
    assert ([row.line for row in page.data], page.total, page.has_more) == ([3, 2], 3, True)
    receipt = jobs.receipt(recorded.id)
    assert (receipt.unmixed, receipt.steps, receipt.data) == (True, 3, {"training_file": "d"})
    stream = jobs.stream_events(recorded.id)
    assert [event.message for event in stream][-1] == "Step 3"
    assert stream.status == "succeeded"


def test_a_verification_is_asked_for_found_and_cancelled(
    api: RunningApi, tenant: Tenant, client: Tunery, job: FineTuningJob, recorded: FineTuningJob
) -> None:
    verifications = client.fine_tuning.jobs.verifications
    first = verifications.create(recorded.id, steps=3, receipt={"seed": 2})
    second = verifications.create(recorded.id)
    with api.database.transaction() as connection:
        operations = OperationRepository(connection, tenant.principal.scope)
        assert operations.get(first.id).request == {"steps": 3, "receipt": {"seed": 2}}
        operations.begin(first.id)
        operations.succeed(first.id, VERIFIED)

    done = verifications.wait(recorded.id, first.id, timeout_seconds=10)

    assert done.result is not None
    assert (done.result.verdict, done.result.losses[0].replayed) == ("equal", 0.5)
    assert verifications.cancel(recorded.id, second.id).status == "cancelled"
    assert [each.id for each in verifications.list(recorded.id)] == [second.id, first.id]
    other = client.fine_tuning.jobs.create(model=BASE, training_file=job.training_file, seed=9)
    with pytest.raises(NotFoundError):
        verifications.retrieve(other.id, first.id)
    with pytest.raises(NotFoundError) as caught:
        verifications.create(other.id)
    assert caught.value.code == "record_not_found"


VERIFIED = {
    "verdict": "equal",
    "unmixed": True,
    "steps": 1,
    "metric": "train_loss",
    "tolerance": 1e-4,
    "largest_difference": 0.0,
    "losses": [{"step": 1, "original": 0.5, "replayed": 0.5}],
    "weights": None,
    "differences": [],
    "environment": [],
}


def test_data_are_looked_at_before_they_are_trained_on(client: Tunery) -> None:
    file = client.files.upload(ROWS)
    shown = client.fine_tuning.preview(model=BASE, training_file=file.id)
    (sequence,) = shown.rows[0].sequences
    assert 0 < sequence.num_trained_tokens < sequence.num_tokens
    report = client.files.report(file.id, method="supervised")
    assert (report.file_id, report.status, report.result) == (file.id, "queued", None)


def test_a_head_is_asked(
    api: RunningApi, tenant: Tenant, client: Tunery, engine: FakeEngine
) -> None:
    name = f"ft:{BASE}:{tenant.principal.scope.project_id}"
    api.publish_model(tenant, name, "d" * 64)
    engine.heads["d" * 64] = HeadSpec(kind="classification", labels=("fox", "owl"))

    (found,) = client.classify.create(model=name, input="red").data

    assert found.label in ("fox", "owl")
    assert found.probs is not None
    assert sum(found.probs.values()) == pytest.approx(1)


def test_a_large_file_arrives_in_parts(client: Tunery, tmp_path: Path) -> None:
    path, state = tmp_path / "large.jsonl", UploadState()
    path.write_bytes(ROWS * (PARTED_ABOVE // len(ROWS) + 1))

    file = client.files.upload(path, purpose="user_data", state=state)

    assert (file.bytes, file.filename) == (path.stat().st_size, "large.jsonl")
    assert len(state.parts) == 5
