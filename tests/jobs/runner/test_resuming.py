"""A job that was paused or lost goes on from its last training state, as if uninterrupted."""

import hashlib
import threading
from dataclasses import dataclass, replace

import pytest

from jobs.runner.attempt import claim_best
from jobs.runner.control import AttemptControl
from jobs.runner.resuming import KEPT_STATES
from service.core.domain.jobs import JobStatus
from service.core.domain.work import WorkKind, WorkRequest
from service.core.engine_protocol import Command, ForwardBackward, OptimStep
from service.core.errors import EngineUnavailable, OutOfMemory, ServiceError
from service.core.hyperparameters import Hyperparameters
from service.core.ledger import Ledger, LedgerLine
from service.core.repositories.files import FileRepository
from service.core.repositories.states import StateRepository
from service.core.repositories.work import WorkRepository
from tests.fakes.engine import FakeEngine
from tests.jobs.shop import OTHER_LINES, Shop
from tests.polling import poll_until

TOTAL_STEPS = 6
"""12 rows in batches of 4, twice; a checkpoint after step 3 and 6."""


@dataclass(frozen=True)
class Account:
    """What must not depend on interruptions."""

    weights: str
    trained_tokens: int | None
    losses: list[str]
    steps: list[int]


def account(shop: Shop, job_id: str) -> Account:
    job, model = shop.job(job_id), shop.model(job_id)
    assert model is not None
    with shop.database.snapshot() as connection:
        file = FileRepository(connection, shop.scope).get(job.result_files[0])
    store = shop.resources.store
    weights = store.get_bytes(f"{model.delta.key}/adapter_model.safetensors")
    return Account(
        hashlib.sha256(weights).hexdigest(),
        job.trained_tokens,
        store.get_bytes(file.key).decode().splitlines(),
        shop.steps(job_id),
    )


def states(shop: Shop, job_id: str) -> list[int]:
    """Steps of the training states that the database knows; as many are stored."""
    with shop.database.snapshot() as connection:
        known = StateRepository(connection, shop.scope).list(job_id)
    stored = [
        key
        for key in shop.resources.store.list_keys(f"p/{shop.scope.project_id}/jobs/{job_id}/")
        if key.endswith("/state/manifest.json")
    ]
    assert len(stored) == len(known)
    return [checkpoint.step for checkpoint in known]


def new_job(shop: Shop) -> str:
    job_id = shop.create_job(validation_lines=OTHER_LINES)
    shop.validate(job_id)
    return job_id


@pytest.fixture
def uninterrupted(shop: Shop, engine: FakeEngine) -> Account:
    assert engine.sessions == {}
    job_id = new_job(shop)
    shop.train()
    return account(shop, job_id)


@pytest.fixture
def job_id(shop: Shop, engine: FakeEngine) -> str:
    assert engine.sessions == {}
    return new_job(shop)


def pause_at(shop: Shop, engine: FakeEngine, job_id: str, step: int, *, heard: bool = True) -> None:
    """An attempt during which the owner pauses; `heard` at once, or else with a later write."""
    control, reached = AttemptControl(), threading.Event()

    def hold(command: Command) -> None:
        if isinstance(command, OptimStep) and command.step == step:
            engine.hold_training()
            reached.set()

    engine.fail_commands(hold)
    with shop.training(control):
        assert reached.wait(20)
        shop.pause(job_id)
        if heard:
            control.ask(WorkRequest.PAUSE)
        engine.fail_commands(lambda _: None)
        engine.release()


@pytest.mark.parametrize("step", range(1, TOTAL_STEPS + 1))
def test_a_paused_job_rests_and_then_goes_on_as_if_it_had_not(
    shop: Shop, engine: FakeEngine, uninterrupted: Account, job_id: str, step: int
) -> None:
    pause_at(shop, engine, job_id, step)

    assert shop.status(job_id) is JobStatus.PAUSED
    assert engine.sessions == {}
    assert shop.train() is None
    assert shop.failures() == 0
    last = shop.checkpoints(job_id)[-1].step
    assert last in (step, step + 1)  # the engine is a step ahead
    assert states(shop, job_id)[0] == last
    assert len(states(shop, job_id)) <= KEPT_STATES
    progress = shop.job(job_id).progress
    assert progress is not None
    assert progress.step == last

    shop.resume(job_id)
    shop.train()

    assert shop.status(job_id) is JobStatus.SUCCEEDED
    assert account(shop, job_id) == uninterrupted
    assert states(shop, job_id) == []
    assert any(f"(attempt 2, after step {last})" in e.message for e in shop.events(job_id))


def test_a_pause_that_is_first_heard_of_at_the_end_still_keeps_the_job_from_succeeding(
    shop: Shop, engine: FakeEngine, uninterrupted: Account, job_id: str
) -> None:
    pause_at(shop, engine, job_id, TOTAL_STEPS, heard=False)

    assert shop.status(job_id) is JobStatus.PAUSED
    assert shop.model(job_id) is None

    shop.resume(job_id)
    shop.train()

    assert account(shop, job_id) == uninterrupted


def fail_at(engine: FakeEngine, step: int, error: ServiceError) -> None:
    def failure(command: Command) -> ServiceError | None:
        return error if isinstance(command, ForwardBackward) and command.step == step else None

    engine.fail_commands(failure)


@pytest.mark.parametrize("step", [2, 5])
def test_a_lost_attempt_is_followed_by_one_from_the_last_state(
    shop: Shop, engine: FakeEngine, uninterrupted: Account, job_id: str, step: int
) -> None:
    fail_at(engine, step, EngineUnavailable("the device went away"))
    shop.train()
    assert states(shop, job_id) == ([3] if step > 3 else [])
    fail_at(engine, -1, EngineUnavailable("never"))

    shop.train()

    place = "after step 3" if step > 3 else "from the beginning"
    assert any(f"(attempt 2, {place})" in event.message for event in shop.events(job_id))
    assert account(shop, job_id) == uninterrupted


def test_a_damaged_state_is_given_up_for_the_one_before_it(
    shop: Shop, engine: FakeEngine, uninterrupted: Account, job_id: str
) -> None:
    pause_at(shop, engine, job_id, 4)
    newest, older = states(shop, job_id)
    damage(shop, job_id)

    shop.resume(job_id)
    shop.train()
    assert shop.status(job_id) is JobStatus.QUEUED
    shop.end_pauses()
    shop.train()

    assert newest > older == 3
    assert any("(attempt 2, after step 3)" in event.message for event in shop.events(job_id))
    assert account(shop, job_id) == uninterrupted


def damage(shop: Shop, job_id: str) -> None:
    with shop.database.snapshot() as connection:
        newest = StateRepository(connection, shop.scope).list(job_id)[0]
    shop.resources.store.put_bytes(f"{newest.place.key}/state.safetensors", b"not a state")


def test_a_job_that_is_paused_while_it_waits_is_not_taken_until_it_is_resumed(
    shop: Shop, job_id: str
) -> None:
    later = new_job(shop)
    shop.pause(job_id)

    taken = shop.train()
    assert taken is not None
    assert taken.subject_id == later
    assert shop.train() is None

    shop.resume(job_id)
    again = shop.train()
    assert again is not None
    assert again.subject_id == job_id
    assert shop.job(job_id).attempts == 1


def test_a_resumed_job_keeps_its_age_and_waits_until_its_attempt_has_let_go(
    shop: Shop, job_id: str
) -> None:
    later = new_job(shop)
    held = claim_best(shop.resources, WorkKind.TRAINING)
    assert held is not None
    assert held.subject_id == job_id
    shop.pause(job_id)
    shop.resume(job_id)

    other = claim_best(shop.resources, WorkKind.TRAINING)
    assert other is not None
    assert other.subject_id == later
    with shop.database.transaction() as connection:
        work = WorkRepository(connection)
        assert work.check(held) is WorkRequest.PAUSE
        work.release(held, failed=False)
        work.release(other, failed=False)

    first = claim_best(shop.resources, WorkKind.TRAINING)
    assert first is not None
    assert first.subject_id == job_id
    with shop.database.transaction() as connection:
        assert WorkRepository(connection).check(first) is None


@pytest.mark.parametrize("error", [EngineUnavailable("gone"), OutOfMemory("too large")])
def test_whatever_ends_the_attempt_of_a_paused_job_the_job_stays_paused(
    shop: Shop, engine: FakeEngine, job_id: str, error: ServiceError
) -> None:
    engine.hold_training()
    with shop.training():
        poll_until(lambda: shop.status(job_id) is JobStatus.RUNNING, "the job runs")
        shop.pause(job_id)
        fail_at(engine, 1, error)
        engine.release()

    assert shop.status(job_id) is JobStatus.PAUSED
    assert shop.train() is None


def test_a_lost_attempt_costs_no_more_than_what_came_after_the_last_state(
    shop: Shop, engine: FakeEngine
) -> None:
    """The only checkpoint is the last step's; states are due after every step."""
    settings = shop.resources.settings.model_copy(update={"state_seconds": 0})
    shop = replace(shop, resources=replace(shop.resources, settings=settings))
    once = Hyperparameters(batch_size=4, n_epochs=4, n_checkpoints=1)
    job_id = shop.create_job(hyperparameters=once)
    shop.validate(job_id)
    lost: list[Command] = []

    def fail_once(command: Command) -> ServiceError | None:
        if isinstance(command, OptimStep) and command.step == 10 and not lost:
            lost.append(command)
            return EngineUnavailable("the engine died")
        return None

    engine.fail_commands(fail_once)
    shop.train()
    kept = states(shop, job_id)
    shop.end_pauses()
    shop.train()

    assert shop.status(job_id) is JobStatus.SUCCEEDED
    assert len(kept) == KEPT_STATES
    started = [e.data for e in shop.events(job_id) if e.data.get("code") == "attempt_started"]
    assert [data["after_step"] for data in started] == [0, kept[0]]
    assert [checkpoint.step for checkpoint in shop.checkpoints(job_id)] == [12]
    assert shop.steps(job_id) == list(range(1, 13))
    twin = shop.create_job(hyperparameters=once)
    shop.validate(twin)
    shop.train()
    assert ledger(shop, job_id) == ledger(shop, twin), "no step counts twice, and none is missing"


def ledger(shop: Shop, job_id: str) -> list[LedgerLine]:
    key = shop.job(job_id).artefacts["rows"]
    return Ledger.from_bytes(shop.resources.store.get_bytes(key)).lines()
