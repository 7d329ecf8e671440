"""Every method and tuning through the official SDK: what is asked for is what is answered."""

from typing import Any

import httpx2
import openai
import pytest

from service.core.domain.jobs import JobStatus, NewEvent
from service.core.domain.models import Delta
from service.core.ledger import Ledger
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository
from service.core.storage import ObjectStore
from tests.contract.test_fine_tuning import BASE, GRADER, ROWS
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant

METHODS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("supervised", {"hyperparameters": {"n_epochs": 2}}, {"packing": "auto"}),
    ("unsupervised", {"hyperparameters": {"max_seq_length": 256}}, {"max_seq_length": 256}),
    ("supervised", {"hyperparameters": {"max_tokens_per_step": 512}}, {"packing": "auto"}),
    ("classification", {"class_weights": "balanced"}, {"n_checkpoints": "auto"}),
    ("dpo", {"loss": "simpo", "hyperparameters": {"gamma": 0.5}}, {"beta": 2.0, "gamma": 0.5}),
    ("dpo", {}, {"beta": 0.1}),
    ("reward_model", {}, {"over_length": "error"}),
    (
        "reinforcement",
        {
            "grader": GRADER,
            "response_format": {"type": "json_object"},
            "hyperparameters": {"eval_interval": 5},
        },
        {"eval_interval": 5, "reasoning_effort": "default", "compute_multiplier": 1.0},
    ),
]
TUNINGS = [
    {"type": "lora", "rank": 4, "use_dora": True},
    {"type": "full"},
    {"type": "partial", "last_n_layers": 2},
    {"type": "partial", "trainable": ["*.mlp.*"]},
]


@pytest.fixture(autouse=True)
def _base_is_known(engine: FakeEngine) -> None:
    assert engine.bases[0].name == BASE


@pytest.fixture
def file_id(sdk: openai.OpenAI) -> str:
    return sdk.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune").id


def create(sdk: openai.OpenAI, file_id: str, **extra: Any) -> Any:
    model = extra.pop("model", BASE)
    return sdk.fine_tuning.jobs.create(model=model, training_file=file_id, extra_body=extra)


@pytest.mark.parametrize(("name", "options", "expected"), METHODS)
def test_a_method_comes_back_with_its_options_and_numbers(
    sdk: openai.OpenAI,
    file_id: str,
    name: str,
    options: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    held_out = sdk.files.create(file=("held-out.jsonl", ROWS), purpose="fine-tune").id
    job = create(sdk, file_id, method={"type": name, name: options}, validation_file=held_out)

    answered = sdk.fine_tuning.jobs.retrieve(job.id).to_dict()
    method = answered["method"]
    assert isinstance(method, dict)
    assert set(method) == {"type", name}
    own = {key: value for key, value in options.items() if key != "hyperparameters"}
    assert own.items() <= method[name].items()
    numbers = method[name]["hyperparameters"]
    assert {**options.get("hyperparameters", {}), **expected}.items() <= numbers.items()
    assert answered["hyperparameters"] == numbers


RFT = {"grader": GRADER}
PPO = {"reward_model": "ft:scorer"}
UNUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("reinforcement", RFT, {"packing": True}, "packing"),
    ("rlhf", PPO, {"packing": True}, "packing"),
    ("reinforcement", RFT, {"early_stopping_patience": 2}, "early_stopping_patience"),
    ("rlhf", PPO, {"early_stopping_patience": 2}, "early_stopping_patience"),
    ("rlhf", PPO, {"over_length": "truncate"}, "over_length"),
    ("rlhf", PPO, {"batch_size": 33}, "batch_size"),
    ("unsupervised", {}, {"over_length": "skip"}, "over_length"),
    ("supervised", {}, {"eval_steps": 5}, "eval_steps"),
    ("reinforcement", RFT, {"eval_interval": 5}, "eval_interval"),
    ("reinforcement", RFT, {"eval_samples": 5}, "eval_samples"),
    ("dpo", {}, {"gamma": 1}, "gamma"),
    ("dpo", {}, {"max_tokens_per_step": 64}, "max_tokens_per_step"),
    ("supervised", {}, {"max_tokens_per_step": 64, "batch_size": 4}, "max_tokens_per_step"),
    ("unsupervised", {}, {"max_tokens_per_step": 64, "packing": True}, "max_tokens_per_step"),
]


@pytest.mark.parametrize(("name", "options", "numbers", "refused"), UNUSED)
def test_a_number_that_the_job_would_never_look_at_is_refused_by_name(
    sdk: openai.OpenAI,
    file_id: str,
    name: str,
    options: dict[str, Any],
    numbers: dict[str, Any],
    refused: str,
) -> None:
    with pytest.raises(openai.BadRequestError, match=refused) as caught:
        create(sdk, file_id, method={"type": name, name: {**options, "hyperparameters": numbers}})

    assert str(caught.value.param).endswith(f"hyperparameters.{refused}")


def test_two_intervals_that_differ_are_refused(sdk: openai.OpenAI, file_id: str) -> None:
    options = {**RFT, "hyperparameters": {"eval_interval": 5, "eval_steps": 6}}
    held_out = sdk.files.create(file=("held-out.jsonl", ROWS), purpose="fine-tune").id

    method = {"type": "reinforcement", "reinforcement": options}
    with pytest.raises(openai.BadRequestError, match="eval_interval"):
        create(sdk, file_id, validation_file=held_out, method=method)


@pytest.mark.parametrize("tuning", TUNINGS)
def test_a_tuning_comes_back_with_its_own_members(
    sdk: openai.OpenAI, file_id: str, tuning: dict[str, Any]
) -> None:
    job = create(sdk, file_id, tuning=tuning, exact=True)

    answered = sdk.fine_tuning.jobs.retrieve(job.id).to_dict()
    assert answered["exact"] is True
    assert isinstance(answered["tuning"], dict)
    assert tuning.items() <= answered["tuning"].items()


def test_a_head_is_trained_where_it_can_be_read(sdk: openai.OpenAI, file_id: str) -> None:
    tuning = {"type": "head", "hidden_layers": [16], "dropout": 0.2}

    job = create(sdk, file_id, method={"type": "classification"}, tuning=tuning)

    assert job.to_dict()["tuning"] == tuning


def publish(api: RunningApi, tenant: Tenant, job_id: str) -> str:
    """As a worker does."""
    with api.database.transaction() as connection:
        jobs = JobRepository(connection, tenant.principal.scope)
        for status in (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.SUCCEEDED):
            job = jobs.move(job_id, status)
        ModelRepository(connection, tenant.principal.scope).add(
            job.reserved_model_name,
            base=job.base,
            base_digest=FAKE_BASE.digest,
            job_id=job_id,
            delta=Delta("some/key", "d" * 64),
        )
    return job.reserved_model_name


def test_a_tuned_model_is_trained_further_and_keeps_the_root_s_name(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    first = publish(api, tenant, create(sdk, file_id).id)

    job = create(sdk, file_id, model=first, method={"type": "dpo"})

    assert job.model == first
    with api.database.snapshot() as connection:
        known = JobRepository(connection, tenant.principal.scope).get(job.id)
    assert known.base == BASE
    assert known.start is not None
    assert (known.start.model, known.start.delta.key) == (first, "some/key")
    assert known.reserved_model_name.startswith(f"ft:{BASE}:")


def test_a_reward_model_is_named_by_its_model(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    scorer = publish(api, tenant, create(sdk, file_id, method={"type": "reward_model"}).id)
    options = {"reward_model": scorer, "hyperparameters": {"lambda": 0.9, "gamma": 0.99}}

    job = create(sdk, file_id, method={"type": "rlhf", "rlhf": options})

    answered = job.to_dict()["method"]["rlhf"]
    assert answered["reward_model"] == scorer
    assert (answered["hyperparameters"]["lambda"], answered["hyperparameters"]["gamma"]) == (
        0.9,
        0.99,
    )


def test_metrics_are_curves_of_so_many_points(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    job = create(sdk, file_id)
    events = [
        NewEvent(
            f"Step {step}",
            type="metrics",
            data={"step": step, "total_steps": 100, "epoch": 0.1, "train_loss": float(step)},
        )
        for step in range(1, 101)
    ]
    with api.database.transaction() as connection:
        EventRepository(connection, tenant.principal.scope).append(job.id, events)

    answer: Any = sdk.get(f"/fine_tuning/jobs/{job.id}/metrics?points=10", cast_to=object)

    curve = answer["series"]["train_loss"]
    assert answer["total_steps"] == 100
    assert [point["step"] for point in curve] == list(range(10, 101, 10))
    assert curve[0]["value"] == 5.5


def test_rows_come_by_line_or_hardest_first_and_are_missed_by_name(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    job = create(sdk, file_id)
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.get(f"/fine_tuning/jobs/{job.id}/rows", cast_to=object)
    assert caught.value.code == "record_not_found"
    ledger = Ledger()
    ledger.add(1, [(line, float(line), 1.0) for line in range(1, 6)])
    key = f"p/{tenant.principal.scope.project_id}/rows"
    ObjectStore.from_settings(api.settings).put_bytes(key, ledger.to_bytes())
    with api.database.transaction() as connection:
        JobRepository(connection, tenant.principal.scope).note_artefacts(job.id, {"rows": key})

    every: Any = sdk.get(f"/fine_tuning/jobs/{job.id}/rows?limit=2&offset=1", cast_to=object)
    worst: Any = sdk.get(f"/fine_tuning/jobs/{job.id}/rows?kind=hardest", cast_to=object)

    assert [row["line"] for row in every["data"]] == [2, 3]
    assert (every["total"], every["has_more"]) == (5, True)
    assert [row["line"] for row in worst["data"]] == [5, 4, 3, 2, 1]
    assert worst["data"][0]["losses"] == [5.0]


def test_events_stream_until_the_job_ends_and_go_on_behind_the_last_one_heard(
    sdk: openai.OpenAI, file_id: str
) -> None:
    job = create(sdk, file_id)
    sdk.fine_tuning.jobs.cancel(job.id)

    def follow(last: str | None = None) -> list[str]:
        headers = {"Authorization": f"Bearer {sdk.api_key}"}
        headers |= {"Last-Event-ID": last} if last else {}
        url = f"{sdk.base_url}fine_tuning/jobs/{job.id}/events?stream=true"
        return [line for line in httpx2.get(url, headers=headers).text.splitlines() if line]

    lines = follow()

    assert [line for line in lines if line.startswith("event: ")] == [
        "event: fine_tuning.job.event",
        "event: fine_tuning.job.event",
        "event: end",
    ]
    assert lines[-1] == 'data: {"status": "cancelled"}'
    first = lines[0].removeprefix("id: ")
    again = follow(first)
    assert sum(line.startswith("id: ") for line in again) == 1
    assert first not in "".join(again)
