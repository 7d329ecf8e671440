"""The heartbeat keeps a claim, and ends the attempt exactly when the claim is lost."""

from pathlib import Path

import pytest

from jobs.runner.attempt import claim_subject
from jobs.runner.control import AttemptControl
from jobs.runner.heartbeat import Heartbeat
from service.core.database import Database
from service.core.domain.work import Claim, WorkKind
from service.core.errors import StaleEpoch
from service.core.repositories.work import WorkRepository
from tests.jobs.shop import Shop
from tests.polling import poll_until


def heartbeat(
    database: Database, claim: Claim, control: AttemptControl, *, lease_seconds: float = 60
) -> Heartbeat:
    return Heartbeat(database, claim, control, every_seconds=0.02, lease_seconds=lease_seconds)


@pytest.fixture
def claim(shop: Shop) -> Claim:
    claimed = claim_subject(shop.resources, WorkKind.VALIDATION, shop.create_job())
    assert claimed is not None
    return claimed


def is_fenced(control: AttemptControl) -> bool:
    try:
        control.check()
    except StaleEpoch:
        return True
    return False


def test_a_beat_prolongs_the_lease(shop: Shop, claim: Claim) -> None:
    shop.end_leases()
    control = AttemptControl()

    def is_expired() -> bool:
        with shop.database.transaction() as connection:
            return bool(WorkRepository(connection).expired())

    assert is_expired()
    with heartbeat(shop.database, claim, control):
        poll_until(lambda: not is_expired(), "the lease is prolonged")
    assert not is_fenced(control)


def test_a_beat_brings_the_wish_to_pause(shop: Shop, claim: Claim) -> None:
    control = AttemptControl()
    with shop.database.transaction() as connection:
        WorkRepository(connection).hold(claim.kind, claim.subject_id)
    with heartbeat(shop.database, claim, control):
        poll_until(lambda: control.is_asked_to_pause, "the attempt is asked to pause")
    assert not is_fenced(control)


def test_work_that_was_removed_fences_the_attempt(shop: Shop, claim: Claim) -> None:
    control = AttemptControl()
    with heartbeat(shop.database, claim, control):
        shop.cancel(claim.subject_id)
        poll_until(lambda: is_fenced(control), "the attempt is fenced")


@pytest.fixture
def absent_database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path / 'no such folder' / 'tunery.db'}")


def test_an_absent_database_fences_the_attempt_once_the_lease_is_over(
    absent_database: Database, claim: Claim
) -> None:
    control = AttemptControl()
    with heartbeat(absent_database, claim, control, lease_seconds=0.1):
        poll_until(lambda: is_fenced(control), "the attempt is fenced")


def test_an_absent_database_is_tolerated_while_the_lease_lasts(
    absent_database: Database, claim: Claim, caplog: pytest.LogCaptureFixture
) -> None:
    control = AttemptControl()
    with heartbeat(absent_database, claim, control):
        poll_until(lambda: caplog.text.count("no database") >= 3, "three beats have failed")
    assert not is_fenced(control)
