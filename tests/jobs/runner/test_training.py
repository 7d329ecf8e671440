"""Attempts in this process: what a job leaves behind, whatever ends an attempt."""

import hashlib
import json

import pytest

from jobs.runner.control import AttemptControl
from jobs.runner.outcomes import INFRASTRUCTURE_FAILURES
from service.core.domain.files import FilePurpose
from service.core.domain.jobs import JobStatus
from service.core.engine_protocol import (
    Command,
    ForwardBackward,
    LoraTuning,
    OpenSession,
    OptimStep,
)
from service.core.errors import (
    EngineUnavailable,
    OutOfMemory,
    ServiceError,
)
from service.core.manifest import Manifest
from service.core.repositories.files import FileRepository
from service.core.repositories.registry import RegistryRepository
from service.core.tables import work
from tests.fakes.engine import FakeEngine
from tests.jobs.shop import BASE, OTHER_LINES, Shop
from tests.polling import poll_until

TOTAL_STEPS = 6
"""12 rows in batches of 4, twice."""


@pytest.fixture
def job_id(shop: Shop, engine: FakeEngine) -> str:
    """A queued job."""
    assert engine.sessions == {}
    queued = shop.create_job(validation_lines=OTHER_LINES)
    shop.validate(queued)
    return queued


def test_a_job_ends_with_model_result_file_checkpoints_and_an_account_of_every_step(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    shop.train()

    job = shop.job(job_id)
    assert job.status is JobStatus.SUCCEEDED
    assert job.attempts == 1
    assert job.finished_at is not None
    assert job.estimated_finish is None
    assert job.trained_tokens is not None
    assert job.trained_tokens > 0
    assert shop.codes(job_id) == [
        "files_validated",
        "attempt_started",
        "checkpoint_stored",
        "checkpoint_stored",
        "model_published",
        "job_succeeded",
    ]
    assert shop.steps(job_id) == list(range(TOTAL_STEPS + 1))
    assert engine.sessions == {}
    assert shop.open_work() == []


def test_metrics_events_carry_what_was_measured_and_progress_follows(
    shop: Shop, job_id: str
) -> None:
    shop.train()

    metrics = [event for event in shop.events(job_id) if event.type == "metrics"]
    assert metrics[0].message.startswith(f"Step 0/{TOTAL_STEPS}: full validation loss=")
    assert set(metrics[1].data) == {
        *("step", "total_steps", "epoch", "tokens", "train_loss", "train_mean_token_accuracy"),
        "learning_rate",
        *("grad_norm", "tokens_per_second", "valid_loss", "valid_mean_token_accuracy"),
    }
    assert "full_valid_loss" in metrics[3].data
    assert metrics[3].data["total_steps"] == TOTAL_STEPS
    progress = shop.job(job_id).progress
    assert progress is not None
    assert (progress.step, progress.total_steps, progress.epoch) == (6, 6, 2.0)


def test_the_model_is_the_last_checkpoint_and_its_manifest_describes_what_is_stored(
    shop: Shop, job_id: str
) -> None:
    shop.train()

    model, store = shop.model(job_id), shop.resources.store
    assert model is not None
    checkpoints = shop.checkpoints(job_id)
    assert [checkpoint.step for checkpoint in checkpoints] == [3, 6]
    assert model.delta == checkpoints[-1].delta
    assert checkpoints[0].metrics["step"] == 3
    assert {"train_loss", "full_valid_loss"} <= set(checkpoints[0].metrics)
    content = store.get_bytes(f"{model.delta.key}/manifest.json")
    assert hashlib.sha256(content).hexdigest() == model.delta.digest
    manifest = Manifest.from_bytes(content)
    assert (manifest.kind, manifest.job, manifest.step) == ("delta", job_id, 6)
    assert manifest.base_digest == model.base_digest
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {f.name for f in manifest.files}
    for file in manifest.files:
        stored = store.get_bytes(f"{model.delta.key}/{file.name}")
        assert hashlib.sha256(stored).hexdigest() == file.sha256


def test_the_result_file_has_a_line_for_every_step(shop: Shop, job_id: str) -> None:
    shop.train()

    (file_id,) = shop.job(job_id).result_files
    with shop.database.snapshot() as connection:
        file = FileRepository(connection, shop.scope).get(file_id)
    lines = shop.resources.store.get_bytes(file.key).decode().splitlines()
    assert file.purpose is FilePurpose.FINE_TUNE_RESULTS
    assert lines[0].startswith("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accu")
    assert [line.split(",")[0] for line in lines[1:]] == [str(n) for n in range(7)]
    assert lines[2].split(",")[1] == "3"  # the fake engine's first loss


def wait_until_running(shop: Shop, job_id: str) -> None:
    """An engine session is open then."""
    poll_until(lambda: shop.status(job_id) is JobStatus.RUNNING, "the job runs")


def test_cancel_in_mid_training_publishes_nothing_and_frees_the_engine(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    engine.hold_training()
    with shop.training():
        wait_until_running(shop, job_id)
        shop.cancel(job_id)
        poll_until(lambda: not engine.sessions, "the session is closed")

    assert shop.status(job_id) is JobStatus.CANCELLED
    assert shop.model(job_id) is None
    assert shop.codes(job_id) == ["files_validated", "attempt_started"]


def test_a_drained_attempt_goes_back_without_blame(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    control = AttemptControl()
    engine.hold_training()
    with shop.training(control):
        wait_until_running(shop, job_id)
        control.drain()
    engine.release()

    assert shop.status(job_id) is JobStatus.QUEUED
    assert shop.codes(job_id)[-1] == "attempt_lost"
    assert shop.failures() == 0
    assert engine.sessions == {}

    shop.train()
    assert shop.status(job_id) is JobStatus.SUCCEEDED
    assert shop.job(job_id).attempts == 2


def test_a_lost_session_costs_an_attempt_and_the_next_one_succeeds(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    engine.hold_training()
    with shop.training():
        wait_until_running(shop, job_id)
        engine.lose_sessions()
    engine.release()
    assert shop.status(job_id) is JobStatus.QUEUED
    assert shop.failures() == 1

    shop.train()

    assert shop.status(job_id) is JobStatus.SUCCEEDED
    assert [checkpoint.step for checkpoint in shop.checkpoints(job_id)] == [3, 6]
    assert all("/e2/" in checkpoint.delta.key for checkpoint in shop.checkpoints(job_id))


def fail_every(engine: FakeEngine, error: ServiceError, step: int = 1) -> None:
    def failure(command: Command) -> ServiceError | None:
        return error if isinstance(command, ForwardBackward) and command.step == step else None

    engine.fail_commands(failure)


def test_a_failure_of_the_training_itself_fails_the_job_with_its_reason(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    fail_every(engine, OutOfMemory("Row 3 does not fit the device; shorten it."))

    shop.train()

    job = shop.job(job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code == "out_of_memory"
    assert job.error.message == "Row 3 does not fit the device; shorten it."
    assert shop.open_work() == []
    assert engine.sessions == {}


def test_a_failure_behind_commands_already_sent_is_still_told_by_its_reason(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    """The loop is a step ahead: the engine refuses its next commands before it has read why."""

    def failure(command: Command) -> ServiceError | None:
        fails = isinstance(command, OptimStep) and command.step == 2
        return OutOfMemory("too large") if fails else None

    engine.fail_commands(failure)

    shop.train()

    error = shop.job(job_id).error
    assert error is not None
    assert error.code == "out_of_memory"


def test_ten_infrastructure_failures_in_a_row_fail_the_job(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    fail_every(engine, EngineUnavailable("the device went away"))

    for _ in range(INFRASTRUCTURE_FAILURES):
        assert shop.status(job_id) is JobStatus.QUEUED
        shop.end_pauses()
        shop.train()

    job = shop.job(job_id)
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error.code == "infrastructure_failed"
    assert shop.codes(job_id).count("attempt_lost") == INFRASTRUCTURE_FAILURES - 1


def test_a_new_checkpoint_starts_the_count_of_failures_anew(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    fail_every(engine, EngineUnavailable("the device went away"))
    shop.train()
    fail_every(engine, EngineUnavailable("the device went away"), step=5)
    shop.end_pauses()
    shop.train()
    assert [checkpoint.step for checkpoint in shop.checkpoints(job_id)] == [3]
    assert shop.failures() == 1

    shop.end_pauses()
    shop.train()

    assert shop.failures() == 2  # the same checkpoint again is no progress


def test_three_unexpected_errors_in_a_row_fail_the_job_without_showing_internals(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    fail_every(engine, ServiceError("secret detail of the engine"))

    for _ in range(3):
        assert shop.status(job_id) is JobStatus.QUEUED
        shop.end_pauses()
        shop.train()

    error = shop.job(job_id).error
    assert error is not None
    assert error.code == "internal_error"
    assert "secret" not in json.dumps([event.message for event in shop.events(job_id)])


def test_a_full_engine_is_waited_for_and_that_is_said_once(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    for number in range(engine.state().free_slots):
        engine.open_session(other_session(number))

    shop.train()
    shop.end_pauses()
    shop.train()

    assert_waits(shop, job_id)


def other_session(number: int) -> OpenSession:
    return OpenSession(
        job=f"other-{number}", epoch=1, base=BASE, tuning=LoraTuning(), seed=1, key_prefix="other/"
    )


def assert_waits(shop: Shop, job_id: str) -> None:
    assert shop.status(job_id) is JobStatus.QUEUED
    assert shop.codes(job_id) == ["files_validated", "waiting"]
    assert shop.failures() == 0


def test_an_engine_of_another_pool_is_left_alone(
    shop: Shop, job_id: str, engine: FakeEngine
) -> None:
    engine.identity = (*engine.identity[:2], "other")
    with shop.database.transaction() as connection:
        RegistryRepository(connection).report(engine.state())

    shop.train()

    assert_waits(shop, job_id)


def test_a_stale_attempt_can_write_nothing(shop: Shop, job_id: str, engine: FakeEngine) -> None:
    engine.hold_training()
    with shop.training():
        wait_until_running(shop, job_id)
        with shop.database.transaction() as connection:
            connection.execute(work.update().values(epoch=work.c.epoch + 1))
        engine.release()

    assert shop.codes(job_id) == ["files_validated", "attempt_started"]
    assert shop.steps(job_id) == []
    assert shop.checkpoints(job_id) == []
    assert shop.model(job_id) is None
    assert shop.job(job_id).result_files == ()
