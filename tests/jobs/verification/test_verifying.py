"""A finished job is replayed and compared; a receipt or data that say something else are told."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import select, update

from jobs.runner.attempt import claim_best, work_on
from jobs.runner.control import AttemptControl
from jobs.verification.verifying import verify_job
from service.core.domain.operations import Operation, OperationKind, OperationStatus
from service.core.domain.work import WorkKind
from service.core.ids import new_verification_id
from service.core.repositories.files import FileRepository
from service.core.repositories.operations import OperationRepository
from service.core.repositories.work import WorkRepository
from service.core.tables import job_events
from tests.fakes.engine import FakeEngine
from tests.jobs.shop import OTHER_LINES, Shop


@pytest.fixture
def job_id(shop: Shop, engine: FakeEngine) -> str:
    """Has succeeded; 6 steps, checkpoints after 3 and 6."""
    assert engine.sessions == {}
    job_id = shop.create_job(validation_lines=OTHER_LINES)
    shop.validate(job_id)
    shop.train()
    return job_id


def verify(
    shop: Shop, job_id: str, *, steps: int = 4, receipt: Mapping[str, Any] | None = None
) -> Operation:
    id_ = new_verification_id()
    with shop.database.transaction() as connection:
        OperationRepository(connection, shop.scope).add(
            id_, OperationKind.VERIFICATION, job_id, {"steps": steps, "receipt": receipt}
        )
        WorkRepository(connection).add(
            shop.scope.project_id,
            WorkKind.VERIFICATION,
            id_,
            pool=shop.resources.settings.pool,
        )
    claim = claim_best(shop.resources, WorkKind.VERIFICATION)
    assert claim is not None
    work_on(shop.resources, claim, AttemptControl(), verify_job)
    with shop.database.snapshot() as connection:
        return OperationRepository(connection, shop.scope).get(id_)


def result(operation: Operation) -> Mapping[str, Any]:
    assert operation.status is OperationStatus.SUCCEEDED, operation.error
    assert operation.result is not None
    return operation.result


def receipt_of(shop: Shop, job_id: str) -> dict[str, Any]:
    content = shop.resources.store.get_bytes(shop.job(job_id).artefacts["receipt"])
    receipt: dict[str, Any] = json.loads(content)
    return receipt


def named(found: Mapping[str, Any]) -> list[str]:
    return [difference["name"] for difference in found["differences"]]


def test_a_job_that_ran_alone_verifies_as_equal(
    shop: Shop, engine: FakeEngine, job_id: str
) -> None:
    found = result(verify(shop, job_id))

    assert (found["verdict"], found["unmixed"], found["steps"]) == ("equal", True, 4)
    assert [step["step"] for step in found["losses"]] == [1, 2, 3, 4]
    assert all(step["original"] == step["replayed"] for step in found["losses"])
    assert (found["weights"]["step"], found["weights"]["is_equal"]) == (3, True)
    assert found["weights"]["files"]
    assert engine.sessions == {}


def test_a_replay_leaves_nothing_behind(shop: Shop, job_id: str) -> None:
    before, steps = sorted(shop.resources.store.list_keys("p/")), shop.steps(job_id)

    verify(shop, job_id)

    assert sorted(shop.resources.store.list_keys("p/")) == before
    assert shop.steps(job_id) == steps


def test_before_the_first_checkpoint_losses_alone_are_compared(shop: Shop, job_id: str) -> None:
    found = result(verify(shop, job_id, steps=2))

    assert (found["verdict"], found["weights"]) == ("equal", None)


def test_no_more_is_replayed_than_there_was(shop: Shop, job_id: str) -> None:
    found = result(verify(shop, job_id, steps=900))

    assert (found["verdict"], found["steps"], found["weights"]["step"]) == ("equal", 6, 6)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 8}, "seed"),
        ({"exact": True}, "exact"),
        ({"unmixed": False}, "unmixed"),
        ({"base_digest": "0" * 64}, "base_digest"),
        ({"checkpoint": {"step": 6, "digest": "0" * 64}}, "checkpoint.digest"),
    ],
)
def test_a_receipt_that_was_tampered_with_is_told(
    shop: Shop, job_id: str, change: dict[str, Any], name: str
) -> None:
    found = result(verify(shop, job_id, receipt={**receipt_of(shop, job_id), **change}))

    assert (found["verdict"], found["steps"]) == ("different", 0)
    assert named(found) == [name]


def test_a_stored_receipt_that_was_tampered_with_is_told(shop: Shop, job_id: str) -> None:
    receipt = receipt_of(shop, job_id)
    receipt["hyperparameters"]["batch_size"] = 99
    key = shop.job(job_id).artefacts["receipt"]
    shop.resources.store.put_bytes(key, json.dumps(receipt).encode())

    found = result(verify(shop, job_id))

    assert found["verdict"] == "different"
    assert found["differences"] == [
        {"name": "hyperparameters.batch_size", "receipt": 99, "found": 4}
    ]


def test_data_that_was_tampered_with_is_told(shop: Shop, job_id: str) -> None:
    with shop.database.snapshot() as connection:
        file = FileRepository(connection, shop.scope).get(shop.job(job_id).training_file)
    content = shop.resources.store.get_bytes(file.key)
    shop.resources.store.put_bytes(file.key, content.replace(b"What is 3", b"What is 4"))

    found = result(verify(shop, job_id))

    assert (found["verdict"], named(found)) == ("different", ["data.training_file"])


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1 + 1e-6, "within_tolerance"), (1.5, "different")]
)
def test_losses_that_are_others_are_near_or_different(
    shop: Shop, job_id: str, factor: float, verdict: str
) -> None:
    with shop.database.transaction() as connection:
        rows = connection.execute(
            select(job_events.c.id, job_events.c.data).where(job_events.c.type == "metrics")
        ).all()
        for row in rows:
            if row.data["step"] == 2:
                data = {**row.data, "train_loss": row.data["train_loss"] * factor}
                changed = update(job_events).where(job_events.c.id == row.id)
                connection.execute(changed.values(data=data))

    found = result(verify(shop, job_id))

    assert found["verdict"] == verdict
    assert found["weights"]["is_equal"]


def test_a_job_whose_file_is_gone_is_refused_with_the_reason(shop: Shop, job_id: str) -> None:
    with shop.database.transaction() as connection:
        FileRepository(connection, shop.scope).delete(shop.job(job_id).training_file)

    operation = verify(shop, job_id)

    assert operation.status is OperationStatus.FAILED
    assert operation.error is not None
    assert operation.error.code == "verification_refused"
    assert "no longer exists" in operation.error.message
