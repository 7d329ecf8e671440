"""Fine-tuning jobs, through the official SDK; what workers would write is written by hand."""

from dataclasses import asdict

import openai
import pytest

from service.core.domain.jobs import JobError, JobProgress, JobStatus, NewEvent
from service.core.domain.models import Delta
from service.core.domain.work import WorkKind
from service.core.hyperparameters import DataSizes, resolve
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.work import WorkRepository
from tests.fakes.engine import FakeEngine
from tests.running_api import RunningApi, Tenant

BASE = "smollm2-135m-instruct"
GRADER = {
    "type": "string_check",
    "name": "right",
    "input": "{{sample.output_text}}",
    "reference": "{{item.right}}",
    "operation": "eq",
}
ROWS = b'{"prompt":"a","completion":"b"}\n'


@pytest.fixture(autouse=True)
def _base_is_known(engine: FakeEngine) -> None:
    assert engine.bases[0].name == BASE


@pytest.fixture
def file_id(sdk: openai.OpenAI) -> str:
    return sdk.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune").id


def test_a_new_job_shows_what_was_asked_for(sdk: openai.OpenAI, file_id: str) -> None:
    job = sdk.fine_tuning.jobs.create(
        model=BASE,
        training_file=file_id,
        validation_file=file_id,
        suffix="desk",
        seed=7,
        metadata={"customer": "acme"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}},
        extra_body={"tuning": {"type": "lora", "rank": 8}},
    )

    assert job.id.startswith("ftjob-")
    assert (job.object, job.status, job.model) == ("fine_tuning.job", "validating_files", BASE)
    assert (job.training_file, job.validation_file, job.seed) == (file_id, file_id, 7)
    assert (job.error, job.finished_at, job.fine_tuned_model, job.trained_tokens) == (None,) * 4
    assert (job.result_files, job.integrations, job.metadata) == ([], [], {"customer": "acme"})
    assert job.hyperparameters.n_epochs == 3
    assert job.hyperparameters.batch_size == "auto"
    assert job.method is not None
    assert job.method.supervised is not None
    assert job.method.supervised.hyperparameters is not None
    assert job.method.supervised.hyperparameters.n_epochs == 3
    extras = job.model_extra or {}
    assert extras["tuning"]["rank"] == 8
    assert extras["queue_position"] >= 1
    assert (extras["attempts"], extras["progress"], extras["config"]) == (0, None, None)
    assert sdk.fine_tuning.jobs.retrieve(job.id) == job


def test_a_seed_is_made_and_told(sdk: openai.OpenAI, file_id: str) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)

    assert 0 <= job.seed < 2**31
    assert sdk.fine_tuning.jobs.retrieve(job.id).seed == job.seed


def test_hyperparameters_at_the_top_level_still_count(sdk: openai.OpenAI, file_id: str) -> None:
    job = sdk.fine_tuning.jobs.create(
        model=BASE,
        training_file=file_id,
        hyperparameters={"n_epochs": 2, "learning_rate_multiplier": 0.5},
    )

    assert job.hyperparameters.n_epochs == 2
    assert job.hyperparameters.learning_rate_multiplier == 0.5


def test_numbers_replace_auto_once_they_are_known(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    created = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    with api.database.transaction() as connection:
        jobs = JobRepository(connection, tenant.principal.scope)
        requested = jobs.get(created.id).hyperparameters
        resolved = asdict(
            resolve(requested, sizes=DataSizes(100, 1000), parameters=1000, context_length=64)
        )
        jobs.move(created.id, JobStatus.QUEUED, resolved=resolved)
        jobs.move(created.id, JobStatus.RUNNING, attempts=1)
        jobs.update_progress(created.id, JobProgress(5, 40, 0.5), seconds_left=60)

    job = sdk.fine_tuning.jobs.retrieve(created.id)

    assert job.status == "running"
    assert job.hyperparameters.batch_size == resolved["batch_size"]
    assert job.estimated_finish is not None
    extras = job.model_extra or {}
    assert extras["progress"] == {"step": 5, "total_steps": 40, "epoch": 0.5, "percent": 12.5}
    assert extras["config"]["seed"] == job.seed
    assert extras["attempts"] == 1


def test_a_failed_job_says_why(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    created = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    error = JobError("invalid_training_file", "Line 3 is no JSON.", "training_file")
    with api.database.transaction() as connection:
        jobs = JobRepository(connection, tenant.principal.scope)
        jobs.move(created.id, JobStatus.FAILED, error=asdict(error))

    job = sdk.fine_tuning.jobs.retrieve(created.id)

    assert job.status == "failed"
    assert job.error is not None
    assert (job.error.code, job.error.param) == ("invalid_training_file", "training_file")
    assert job.finished_at is not None


def test_listing_pages_and_filters_by_metadata(sdk: openai.OpenAI, file_id: str) -> None:
    def create(metadata: dict[str, str] | None) -> str:
        job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id, metadata=metadata)
        return job.id

    acme = [create({"customer": "acme", "n": str(i)}) for i in range(3)]
    plain = [create(None) for _ in range(2)]

    every = [job.id for job in sdk.fine_tuning.jobs.list(limit=2)]
    of_acme = [job.id for job in sdk.fine_tuning.jobs.list(metadata={"customer": "acme"}, limit=2)]
    exact = sdk.fine_tuning.jobs.list(metadata={"customer": "acme", "n": "1"})
    without = sdk.fine_tuning.jobs.list(extra_query={"metadata": "null"})

    assert every == [*plain[::-1], *acme[::-1]]
    assert of_acme == acme[::-1]
    assert [job.id for job in exact] == [acme[1]]
    assert [job.id for job in without] == plain[::-1]


def test_a_cancelled_job_stays_cancelled(sdk: openai.OpenAI, file_id: str) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)

    assert sdk.fine_tuning.jobs.cancel(job.id).status == "cancelled"

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.fine_tuning.jobs.cancel(job.id)
    assert caught.value.code == "job_not_cancellable"
    messages = [event.message for event in sdk.fine_tuning.jobs.list_events(job.id)]
    assert messages == ["The job was cancelled", f"Created fine-tuning job: {job.id}"]


def put(api: RunningApi, tenant: Tenant, job_id: str, *statuses: JobStatus) -> None:
    """What workers do with a job's files and its training."""
    with api.database.transaction() as connection:
        work = WorkRepository(connection)
        for kind in WorkKind:
            work.remove(kind, job_id)
        work.add(tenant.principal.scope.project_id, WorkKind.TRAINING, job_id, pool="default")
        for status in statuses:
            JobRepository(connection, tenant.principal.scope).move(job_id, status)


def test_a_paused_job_is_shown_as_paused_until_it_is_resumed(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    put(api, tenant, job.id, JobStatus.QUEUED, JobStatus.RUNNING)

    paused = sdk.fine_tuning.jobs.pause(job.id)

    assert (paused.id, str(paused.status)) == (job.id, "paused")
    assert str(sdk.fine_tuning.jobs.retrieve(job.id).status) == "paused"
    assert [str(listed.status) for listed in sdk.fine_tuning.jobs.list()] == ["paused"]
    assert (paused.model_extra or {})["queue_position"] is None
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.fine_tuning.jobs.pause(job.id)
    assert caught.value.code == "job_not_pausable"

    resumed = sdk.fine_tuning.jobs.resume(job.id)

    assert resumed.status == "queued"
    assert (resumed.model_extra or {})["queue_position"] >= 1
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.fine_tuning.jobs.resume(job.id)
    assert refused.value.code == "job_not_resumable"
    messages = [event.message for event in sdk.fine_tuning.jobs.list_events(job.id)]
    assert messages[:2] == ["The job was resumed", "The job was paused"]


def test_pause_and_resume_sent_again_after_a_lost_answer_succeed(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    put(api, tenant, job.id, JobStatus.QUEUED)
    again = {"x-stainless-retry-count": "1"}

    for _ in range(2):
        assert str(sdk.fine_tuning.jobs.pause(job.id, extra_headers=again).status) == "paused"
    for _ in range(2):
        assert sdk.fine_tuning.jobs.resume(job.id, extra_headers=again).status == "queued"


@pytest.mark.parametrize("status", [None, JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_job_that_is_not_ready_or_is_over_is_neither_paused_nor_resumed(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str, status: JobStatus | None
) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    if status is not None:
        put(api, tenant, job.id, status)

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.fine_tuning.jobs.pause(job.id)
    assert caught.value.code == "job_not_pausable"
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.fine_tuning.jobs.resume(job.id)
    assert refused.value.code == "job_not_resumable"


def test_a_paused_job_can_be_cancelled(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    put(api, tenant, job.id, JobStatus.QUEUED)
    sdk.fine_tuning.jobs.pause(job.id)

    assert sdk.fine_tuning.jobs.cancel(job.id).status == "cancelled"


def test_events_come_newest_first_in_pages(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    metrics = {"step": 1, "train_loss": 2.5}
    with api.database.transaction() as connection:
        EventRepository(connection, tenant.principal.scope).append(
            job.id,
            [NewEvent("Step 1", type="metrics", data=metrics), *map(NewEvent, "abcd")],
        )

    events = list(sdk.fine_tuning.jobs.list_events(job.id, limit=2))

    assert [event.message for event in events][:5] == ["d", "c", "b", "a", "Step 1"]
    assert len(events) == 6
    assert (events[4].type, events[4].data, events[4].level) == ("metrics", metrics, "info")


def test_checkpoints_come_newest_first_in_pages(
    sdk: openai.OpenAI, api: RunningApi, tenant: Tenant, file_id: str
) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    for step in (10, 20, 30):
        with api.database.transaction() as connection:
            CheckpointRepository(connection, tenant.principal.scope).add(
                job.id,
                tuned_model="ft:x:y::z" + job.id,
                step=step,
                metrics={"step": step, "train_loss": 1.5},
                delta=Delta("some/key", "d" * 64),
            )

    first_page = sdk.fine_tuning.jobs.checkpoints.list(job.id, limit=2)
    every = list(first_page)

    assert [checkpoint.step_number for checkpoint in every] == [30, 20, 10]
    assert every[0].fine_tuned_model_checkpoint.endswith(":ckpt-step-30")
    assert every[0].fine_tuning_job_id == job.id
    assert every[0].metrics.train_loss == 1.5


@pytest.mark.parametrize("param", ["training_file", "validation_file"])
def test_an_unknown_file_is_named(sdk: openai.OpenAI, file_id: str, param: str) -> None:
    files = {"training_file": file_id, param: "file-nothere"}

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.fine_tuning.jobs.create(model=BASE, **files)  # type: ignore[arg-type]

    assert (caught.value.code, caught.value.param) == ("unknown_file", param)


def test_a_file_of_another_purpose_is_refused(sdk: openai.OpenAI) -> None:
    file = sdk.files.create(file=("rows.jsonl", ROWS), purpose="batch")

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.fine_tuning.jobs.create(model=BASE, training_file=file.id)

    assert caught.value.param == "training_file"


@pytest.mark.parametrize("model", ["gpt-9", "ft:nobody:else::12345678", "a/b", "\x00"])
def test_an_unknown_model_is_not_found(sdk: openai.OpenAI, file_id: str, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.fine_tuning.jobs.create(model=model, training_file=file_id)

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("extra", "code", "param"),
    [
        ({"method": {"type": "kto"}}, "unsupported_parameter", "method.type"),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"gamma": 1}}}},
            "invalid_value",
            "method.dpo.hyperparameters.gamma",
        ),
        (
            {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}}},
            "invalid_value",
            "method.dpo.hyperparameters.beta",
        ),
        ({"method": {"type": "rlhf"}}, "invalid_value", "method.rlhf.reward_model"),
        ({"method": {"type": "reinforcement"}}, "invalid_value", "method.reinforcement.grader"),
        (
            {"method": {"type": "rlhf", "rlhf": {"reward_model": BASE}}},
            "invalid_value",
            "method.rlhf.reward_model",
        ),
        (
            {
                "method": {"type": "reinforcement", "reinforcement": {"grader": GRADER}},
                "tuning": {"type": "full"},
            },
            "unsupported_parameter",
            "tuning.type",
        ),
        (
            {"method": {"type": "unsupervised", "unsupervised": {"replay_ratio": 0.5}}},
            "invalid_value",
            "method.unsupervised.replay_ratio",
        ),
        (
            {"method": {"type": "supervised", "dpo": {}}},
            "unsupported_parameter",
            "method.dpo",
        ),
        ({"tuning": {"type": "qlora"}}, "unsupported_parameter", "tuning.type"),
        ({"tuning": {"type": "head"}}, "unsupported_parameter", "tuning.type"),
        ({"tuning": {"type": "full", "rank": 8}}, "unsupported_parameter", "tuning.rank"),
        ({"tuning": {"type": "partial"}}, "invalid_value", "tuning"),
        ({"tuning": {"rank": 0}}, "invalid_value", "tuning.rank"),
        (
            {"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]},
            "integration_unavailable",
            "integrations",
        ),
        ({"exact": "yes"}, "invalid_value", "exact"),
        ({"integrations": [{"type": "mlflow"}]}, "invalid_value", "integrations.0.type"),
        (
            {"integrations": [{"type": "wandb", "wandb": {}}]},
            "missing_required_parameter",
            "integrations.0.wandb.project",
        ),
        ({"suffix": "a:b"}, "invalid_value", "suffix"),
        ({"suffix": ""}, "invalid_value", "suffix"),
        ({"seed": -1}, "invalid_value", "seed"),
        ({"seed": True}, "invalid_value", "seed"),
        ({"seed": "7"}, "invalid_value", "seed"),
        ({"hyperparameters": {"n_epochs": 51}}, "invalid_value", "hyperparameters.n_epochs"),
        (
            {"hyperparameters": {"max_seq_length": 1}},
            "invalid_value",
            "hyperparameters.max_seq_length",
        ),
        (
            {"hyperparameters": {"early_stopping_patience": 2}},
            "invalid_hyperparameter",
            "hyperparameters.early_stopping_patience",
        ),
        (
            {"hyperparameters": {"learning_rate": 1e-4, "learning_rate_multiplier": 2}},
            "invalid_hyperparameter",
            "hyperparameters.learning_rate",
        ),
        ({"metadata": {"k" * 65: "v"}}, "invalid_value", "metadata"),
        ({"metadata": {str(i): "" for i in range(17)}}, "invalid_value", "metadata"),
        ({"metadata": {"k": 1}}, "invalid_value", "metadata.k"),
    ],
)
def test_what_cannot_be_done_is_refused_by_its_name(
    sdk: openai.OpenAI, file_id: str, extra: dict[str, object], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id, extra_body=extra)

    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.type == "invalid_request_error"
    assert list(sdk.fine_tuning.jobs.list()) == []


def test_a_file_that_an_unfinished_job_reads_cannot_be_deleted(
    sdk: openai.OpenAI, file_id: str
) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)

    with pytest.raises(openai.BadRequestError) as caught:
        sdk.files.delete(file_id)
    assert caught.value.code == "file_in_use"

    sdk.fine_tuning.jobs.cancel(job.id)
    assert sdk.files.delete(file_id).deleted


def test_a_create_sent_again_after_a_lost_answer_makes_no_second_job(
    sdk: openai.OpenAI, file_id: str
) -> None:
    def send(retry_count: str, **changes: int) -> str:
        job = sdk.fine_tuning.jobs.create(
            model=BASE,
            training_file=file_id,
            extra_headers={"x-stainless-retry-count": retry_count},
            **changes,  # type: ignore[arg-type]
        )
        return job.id

    first = send("0")

    assert send("1") == send("2") == first
    assert send("0") != first
    assert send("1", seed=5) != first


def test_a_cancel_sent_again_after_a_lost_answer_succeeds(sdk: openai.OpenAI, file_id: str) -> None:
    job = sdk.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    sdk.fine_tuning.jobs.cancel(job.id)

    again = sdk.fine_tuning.jobs.cancel(job.id, extra_headers={"x-stainless-retry-count": "1"})

    assert again.status == "cancelled"
