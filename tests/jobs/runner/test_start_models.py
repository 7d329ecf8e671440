"""A job goes on from another project's model for as long as it may, and from its own while it is
there: each attempt looks again."""

from collections.abc import Callable

import pytest

from service.core.domain.jobs import JobStatus, StartPoint
from service.core.domain.models import Delta
from service.core.repositories.access import AccessRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.permissions import PermissionRepository
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.jobs.shop import BASE, Shop

NAME = f"ft:{BASE}:acme:shared:00000001"
DELTA = Delta("p/of-the-owner/adapter", "d" * 64)


def project(shop: Shop, name: str) -> Shop:
    with shop.database.transaction() as connection:
        return Shop(shop.resources, AccessRepository(connection).ensure_project("acme", name))


def publish(owner: Shop) -> None:
    with owner.database.transaction() as connection:
        ModelRepository(connection, owner.scope).add(
            NAME, base=BASE, base_digest=FAKE_BASE.digest, job_id=None, delta=DELTA
        )


def permit(owner: Shop, user: Shop) -> None:
    with owner.database.transaction() as connection:
        PermissionRepository(connection, owner.scope).grant(NAME, user.scope.project_id)


def withdraw(owner: Shop) -> None:
    with owner.database.transaction() as connection:
        PermissionRepository(connection, owner.scope).forget([NAME])


def delete(owner: Shop) -> None:
    with owner.database.transaction() as connection:
        ModelRepository(connection, owner.scope).delete(NAME)


def queued_job(shop: Shop) -> str:
    job_id = shop.create_job(start=StartPoint(NAME, DELTA))
    shop.validate(job_id)
    return job_id


@pytest.fixture
def owner(shop: Shop, engine: FakeEngine) -> Shop:
    assert engine.sessions == {}
    owner = project(shop, "owner")
    publish(owner)
    return owner


def test_a_permitted_model_is_gone_on_from(shop: Shop, owner: Shop, engine: FakeEngine) -> None:
    started: list[object] = []
    engine.fail_commands(
        lambda _: started.extend(s.request.start_from for s in engine.sessions.values())
    )
    permit(owner, shop)

    job_id = queued_job(shop)
    shop.train()

    assert shop.status(job_id) is JobStatus.SUCCEEDED
    assert {getattr(ref, "key", None) for ref in started} == {DELTA.key}


@pytest.mark.parametrize("end", [withdraw, delete])
def test_what_is_no_longer_there_for_the_project_ends_a_job_that_waits(
    shop: Shop, owner: Shop, end: Callable[[Shop], None]
) -> None:
    permit(owner, shop)
    job_id = queued_job(shop)
    assert shop.status(job_id) is JobStatus.QUEUED

    end(owner)
    shop.train()

    error = shop.job(job_id).error
    assert error is not None
    assert (error.code, error.param) == ("start_model_gone", "model")
    assert NAME in error.message


def test_a_permission_is_of_one_project(shop: Shop, owner: Shop) -> None:
    permit(owner, project(shop, "another"))

    job_id = queued_job(shop)

    assert shop.status(job_id) is JobStatus.FAILED
