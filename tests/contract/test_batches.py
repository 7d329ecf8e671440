"""Batches, through the official SDK, run as a worker runs them against the real api."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
import openai
import pytest
from openai.types import Batch
from sqlalchemy import update

from jobs.batches.run import run_batch
from jobs.reconciler.rounds import Reconciler
from jobs.runner.attempt import claim_subject, work_on
from jobs.runner.codecs import Codecs
from jobs.runner.control import AttemptControl
from jobs.runner.resources import Resources, WorkerProcess
from service.core.database import database_now
from service.core.domain.work import WorkKind, WorkRequest
from service.core.internal_calls import PROJECT_HEADER
from service.core.repositories.deliveries import DeliveryRepository
from service.core.storage import ObjectStore
from service.core.tables import batches, work
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.polling import poll_until
from tests.running_api import RunningApi, Tenant

CHAT, COMPLETE, EMBED = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
CONCURRENCY = 2
BLOCK = 4 * CONCURRENCY


@pytest.fixture
def resources(
    api: RunningApi, object_store: ObjectStore, engine: FakeEngine
) -> Iterator[Resources]:
    """A worker beside the api."""
    assert engine.embedders == (FAKE_EMBEDDER,)
    settings = api.settings.model_copy(
        update={"api_url": api.url, "batch_concurrency": CONCURRENCY}
    )
    codecs = Codecs(object_store, settings.cache_dir)
    with WorkerProcess(settings, object_store, codecs, worker="test-batch-0").open() as opened:
        yield opened


def run(resources: Resources, batch: Batch, control: AttemptControl | None = None) -> None:
    claim = claim_subject(resources, WorkKind.BATCH, batch.id)
    assert claim is not None
    work_on(resources, claim, control or AttemptControl(), run_batch)


def chat(custom_id: str, **changes: object) -> dict[str, object]:
    body = {
        "model": FAKE_BASE.name,
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 30,
    }
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": {**body, **changes}}


def create(
    sdk: openai.OpenAI, *lines: Mapping[str, object] | str, endpoint: str = CHAT, **more: Any
) -> Batch:
    written = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    content = "".join(f"{line}\n" for line in written).encode()
    file = sdk.files.create(file=("requests.jsonl", content), purpose="batch")
    return sdk.batches.create(
        input_file_id=file.id,
        endpoint=endpoint,  # type: ignore[arg-type]
        completion_window="24h",
        **more,
    )


def lines_of(sdk: openai.OpenAI, file_id: str | None) -> list[dict[str, Any]]:
    if file_id is None:
        return []
    return [json.loads(line) for line in sdk.files.content(file_id).text.splitlines()]


def test_every_line_is_answered_as_it_would_be_alone(
    sdk: openai.OpenAI, resources: Resources
) -> None:
    good = [chat(f"ask-{n}") for n in range(20)]
    bad = [chat("bad-model", model="nothing"), chat("streamed", stream=True)]
    batch = create(sdk, *good[:10], *bad, *good[10:], metadata={"customer": "a"})
    assert (batch.status, batch.object, batch.metadata) == (
        "validating",
        "batch",
        {"customer": "a"},
    )

    run(resources, batch)

    done = sdk.batches.retrieve(batch.id)
    assert done.status == "completed"
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"total": 22, "completed": 20, "failed": 2}
    output, errors = lines_of(sdk, done.output_file_id), lines_of(sdk, done.error_file_id)
    assert [line["custom_id"] for line in output] == [f"ask-{n}" for n in range(20)]
    answer = output[0]["response"]
    assert (answer["status_code"], output[0]["error"]) == (200, None)
    assert answer["body"]["choices"][0]["message"]["content"] == "I am the base."
    assert answer["request_id"].startswith("req_")
    assert [line["custom_id"] for line in errors] == ["bad-model", "streamed"]
    assert [line["response"]["status_code"] for line in errors] == [404, 400]
    assert errors[0]["response"]["body"]["error"]["code"] == "model_not_found"
    assert len({line["id"] for line in output + errors}) == 22
    assert None not in (done.in_progress_at, done.finalizing_at, done.completed_at)
    assert sdk.files.retrieve(done.output_file_id or "").purpose == "batch_output"


def test_completions_are_batched_too(sdk: openai.OpenAI, resources: Resources) -> None:
    body = {"model": FAKE_BASE.name, "prompt": "x", "max_tokens": 30}
    line = {"custom_id": "a", "method": "POST", "url": COMPLETE, "body": body}
    batch = create(sdk, line, endpoint=COMPLETE)

    run(resources, batch)

    (answer,) = lines_of(sdk, sdk.batches.retrieve(batch.id).output_file_id)
    assert answer["response"]["body"]["object"] == "text_completion"


def test_embeddings_are_batched_too_and_the_files_expire_as_asked(
    sdk: openai.OpenAI, resources: Resources
) -> None:
    request = {"custom_id": "a", "method": "POST", "url": EMBED}
    line = {**request, "body": {"model": FAKE_EMBEDDER.name, "input": "x"}}
    expiry = {"anchor": "created_at", "seconds": 3600}
    batch = create(sdk, line, endpoint=EMBED, output_expires_after=expiry)

    run(resources, batch)

    file = sdk.files.retrieve(sdk.batches.retrieve(batch.id).output_file_id or "")
    (answer,) = lines_of(sdk, file.id)
    assert len(answer["response"]["body"]["data"][0]["embedding"]) == FAKE_EMBEDDER.dimensions
    assert file.expires_at == file.created_at + 3600


def test_a_file_with_bad_lines_runs_none_and_names_each(
    sdk: openai.OpenAI, resources: Resources
) -> None:
    batch = create(
        sdk,
        chat("a"),
        "{not json",
        "[]",
        {**chat("b"), "custom_id": 7},
        {**chat("c"), "method": "GET"},
        {**chat("d"), "url": EMBED},
        {**chat("e"), "body": None},
        chat("a"),
    )

    run(resources, batch)

    failed = sdk.batches.retrieve(batch.id)
    assert (failed.status, failed.output_file_id) == ("failed", None)
    assert failed.errors is not None
    assert [(error.line, error.code) for error in failed.errors.data or ()] == [
        (2, "invalid_json_line"),
        (3, "invalid_json_line"),
        (4, "missing_required_parameter"),
        (5, "invalid_method"),
        (6, "invalid_url"),
        (7, "missing_required_parameter"),
        (8, "duplicate_custom_id"),
    ]


class Killed(BaseException):
    """Nothing of the worker runs any more."""


class Cut(AttemptControl):
    """Calls something at the n-th look, which every write begins with too."""

    def __init__(self, looks: int, cut: Callable[[], None]) -> None:
        super().__init__()
        self._looks, self._cut = looks, cut

    def check(self) -> None:
        self._look()
        super().check()

    def ask(self, request: WorkRequest | None) -> None:
        self._look()
        super().ask(request)

    def _look(self) -> None:
        self._looks -= 1
        if self._looks == 0:
            self._cut()


def _kill() -> None:
    raise Killed


def killed_at(looks: int, resources: Resources, batch: Batch) -> None:
    """An attempt that dies at its n-th look, and the reconciler's round that finds it dead."""
    with pytest.raises(Killed):
        run(resources, batch, Cut(looks, _kill))
    with resources.database.transaction() as connection:
        mine = update(work).where(work.c.subject_id == batch.id)
        connection.execute(mine.values(lease_until=database_now() - 1))
    Reconciler(resources.database, resources.doorbell).round()
    with resources.database.transaction() as connection:
        connection.execute(mine.values(not_before=database_now() - 1, failures=0))


def test_a_killed_attempt_goes_on_after_the_last_stored_line(
    sdk: openai.OpenAI, resources: Resources
) -> None:
    ids = [f"ask-{n}" for n in range(3 * BLOCK)]
    batch = create(sdk, *map(chat, ids))
    looks = 1
    while True:  # however often an attempt looks up: kill the one that has stored a block
        killed_at(looks, resources, batch)
        counts = sdk.batches.retrieve(batch.id).request_counts
        assert counts is not None
        if counts.completed:
            break
        looks += 1
    assert counts.completed < len(ids)

    run(resources, batch)

    done = sdk.batches.retrieve(batch.id)
    assert done.status == "completed"
    assert [line["custom_id"] for line in lines_of(sdk, done.output_file_id)] == ids


def test_a_drained_attempt_is_given_back(sdk: openai.OpenAI, resources: Resources) -> None:
    batch = create(sdk, chat("a"))
    control = AttemptControl()
    control.drain()

    run(resources, batch, control)
    assert sdk.batches.retrieve(batch.id).status in ("validating", "in_progress")
    run(resources, batch)

    assert sdk.batches.retrieve(batch.id).status == "completed"


def test_a_cancelled_batch_stops_with_what_it_has(
    sdk: openai.OpenAI, resources: Resources, engine: FakeEngine
) -> None:
    batch = create(sdk, chat("bad", model="nothing"), *(chat(f"ask-{n}") for n in range(30)))
    engine.hold_streams()
    thread = threading.Thread(target=run, args=(resources, batch))
    thread.start()
    try:
        poll_until(lambda: sdk.batches.retrieve(batch.id).status == "in_progress", "it runs")
        assert sdk.batches.cancel(batch.id).status == "cancelling"
        poll_until(lambda: sdk.batches.retrieve(batch.id).status == "cancelled", "it has ended")
    finally:
        engine.release()
        thread.join()

    cancelled = sdk.batches.retrieve(batch.id)
    assert None not in (cancelled.cancelling_at, cancelled.cancelled_at)
    assert cancelled.output_file_id is None
    assert sdk.batches.cancel(batch.id).status == "cancelled"


def close_window(resources: Resources, batch: Batch) -> None:
    with resources.database.transaction() as connection:
        mine = update(batches).where(batches.c.id == batch.id)
        connection.execute(mine.values(expires_at=database_now() - 1))


def test_a_batch_past_its_window_expires_with_every_line_accounted_for(
    sdk: openai.OpenAI, resources: Resources
) -> None:
    batch = create(sdk, *(chat(f"ask-{n}") for n in range(20)))
    close_window(resources, batch)

    run(resources, batch)

    expired = sdk.batches.retrieve(batch.id)
    lines = lines_of(sdk, expired.error_file_id)
    assert (expired.status, expired.output_file_id) == ("expired", None)
    assert [line["custom_id"] for line in lines] == [f"ask-{n}" for n in range(20)]
    assert {line["error"]["code"] for line in lines} == {"batch_expired"}


def test_a_batch_killed_after_its_last_line_expired_is_no_success(
    sdk: openai.OpenAI, resources: Resources
) -> None:
    batch = create(sdk, *(chat(f"ask-{n}") for n in range(20)))
    close_window(resources, batch)
    looks = 1
    while True:  # until every line has its answer, and the batch has not
        killed_at(looks, resources, batch)
        counts = sdk.batches.retrieve(batch.id).request_counts
        assert counts is not None
        if counts.failed == 20:
            break
        looks += 1
    assert sdk.batches.retrieve(batch.id).status == "in_progress"

    run(resources, batch)

    expired = sdk.batches.retrieve(batch.id)
    assert (expired.status, expired.completed_at) == ("expired", None)
    assert len(lines_of(sdk, expired.error_file_id)) == 20


ENDINGS = ("completed", "failed", "expired", "cancelled")


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_a_batch_is_told_by_webhook(
    sdk: openai.OpenAI, tenant: Tenant, resources: Resources, ending: str
) -> None:
    hooks = {
        name: sdk.webhooks.create(
            name=name,
            url="https://hooks.example/",
            event_types=[f"batch.{name}"],  # type: ignore[list-item]
        ).id
        for name in ENDINGS
    }
    batch = create(sdk, "{not json" if ending == "failed" else chat("a"))
    if ending == "expired":
        close_window(resources, batch)
    if ending == "cancelled":
        sdk.batches.cancel(batch.id)

    run(resources, batch)

    assert sdk.batches.retrieve(batch.id).status == ending
    for name, hook in hooks.items():
        with resources.database.snapshot() as connection:
            told = DeliveryRepository(connection, tenant.principal.scope).list(
                hook, status=None, after=None, limit=10
            )
        bodies = [json.loads(delivery.body) for delivery in told.items]
        wanted = [(f"batch.{ending}", batch.id)] if name == ending else []
        assert [(body["type"], body["data"]["id"]) for body in bodies] == wanted


def test_batches_are_listed_newest_first(sdk: openai.OpenAI) -> None:
    made = [create(sdk, chat("a")).id for _ in range(3)]

    assert [batch.id for batch in sdk.batches.list(limit=2)] == made[::-1]


def test_what_cannot_be_run_is_refused_at_once(sdk: openai.OpenAI) -> None:
    wrong = sdk.files.create(file=("a", b"{}"), purpose="fine-tune").id
    right = sdk.files.create(file=("a", b"{}"), purpose="batch").id
    good = {"input_file_id": right, "endpoint": CHAT, "completion_window": "24h"}
    for change, param in (
        ({"input_file_id": wrong}, "input_file_id"),
        ({"input_file_id": "file-none"}, "input_file_id"),
        ({"endpoint": "/v1/responses"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.batches.create(**{**good, **change})  # type: ignore[arg-type]
        assert caught.value.param == param


def test_the_file_of_an_unfinished_batch_is_kept(sdk: openai.OpenAI, resources: Resources) -> None:
    batch = create(sdk, chat("a"))
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.files.delete(batch.input_file_id)
    assert caught.value.code == "file_in_use"

    run(resources, batch)

    assert sdk.files.delete(batch.input_file_id).deleted


def test_a_project_cannot_be_named_without_the_internal_token(
    http: httpx2.Client, api: RunningApi, tenant: Tenant
) -> None:
    other = api.new_tenant().principal.scope.project_id

    for headers in ({}, {"authorization": "Bearer"}, {"authorization": "Bearer nonsense"}):
        response = http.get("/v1/files", headers={PROJECT_HEADER: other, **headers})
        assert response.status_code == 401
