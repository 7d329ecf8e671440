"""The work table: claims are exclusive, epochs fence, leases end."""

import threading

import pytest
from sqlalchemy import select, update

from service.core.database import Connection, Database, database_now
from service.core.domain.access import Scope
from service.core.domain.work import Claim, WorkKind
from service.core.errors import StaleEpoch
from service.core.repositories.work import WorkRepository, backoff_seconds
from service.core.tables import work
from tests.polling import poll_until

TRAINING = WorkKind.TRAINING


def add(database: Database, scope: Scope, *subjects: str) -> None:
    """Each at a time of its own: SQLite's clock ticks in milliseconds, and age decides."""
    for subject in subjects:
        with database.transaction() as connection:
            WorkRepository(connection).add(scope.project_id, TRAINING, subject, pool="default")
            added = now(connection)
        poll_until(lambda added=added: read_clock(database) > added, "the clock has ticked")


def now(connection: Connection) -> float:
    return connection.execute(select(database_now())).scalar_one()


def read_clock(database: Database) -> float:
    with database.snapshot() as connection:
        return now(connection)


def claim(database: Database, worker: str = "w", lease_seconds: float = 60) -> Claim | None:
    with database.transaction() as connection:
        return WorkRepository(connection).claim_best(
            TRAINING, "default", worker=worker, lease_seconds=lease_seconds
        )


def end_lease(database: Database, held: Claim) -> None:
    with database.transaction() as connection:
        connection.execute(
            update(work).where(work.c.id == held.work_id).values(lease_until=database_now() - 1)
        )


def requeue_expired(database: Database) -> list[Claim]:
    with database.transaction() as connection:
        repository = WorkRepository(connection)
        expired = repository.expired()
        for lost in expired:
            repository.release(lost, failed=True)
        return expired


def test_of_many_racing_workers_exactly_one_gets_the_work(database: Database, scope: Scope) -> None:
    add(database, scope, "job-1")
    claims: list[Claim | None] = []
    start = threading.Barrier(8)

    def race(name: str) -> None:
        start.wait()
        claims.append(claim(database, name))

    racers = [threading.Thread(target=race, args=(f"w{i}",)) for i in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()

    assert len(claims) == 8
    assert sum(c is not None for c in claims) == 1


def test_the_oldest_work_goes_first(database: Database, scope: Scope) -> None:
    add(database, scope, "job-1", "job-2", "job-3")

    subjects = [c.subject_id for c in (claim(database), claim(database), claim(database)) if c]

    assert subjects == ["job-1", "job-2", "job-3"]
    assert claim(database) is None


def test_a_new_claim_has_a_higher_epoch_and_fences_the_old_one(
    database: Database, scope: Scope
) -> None:
    add(database, scope, "job-1")
    first = claim(database)
    assert first is not None
    end_lease(database, first)
    assert [c.subject_id for c in requeue_expired(database)] == ["job-1"]

    second = claim(database)

    assert second is not None
    assert second.epoch > first.epoch
    with database.transaction() as connection:
        repository = WorkRepository(connection)
        repository.check(second)
        for stale_write in (
            lambda: repository.check(first),
            lambda: repository.beat(first, lease_seconds=60),
            lambda: repository.release(first, failed=False),
            lambda: repository.finish(first),
        ):
            with pytest.raises(StaleEpoch):
                stale_write()


def test_removed_work_fences_its_holder(database: Database, scope: Scope) -> None:
    add(database, scope, "job-1")
    held = claim(database)
    assert held is not None

    with database.transaction() as connection:
        WorkRepository(connection).remove(TRAINING, "job-1")

    with database.transaction() as connection, pytest.raises(StaleEpoch):
        WorkRepository(connection).check(held)


def test_a_beat_keeps_the_lease(database: Database, scope: Scope) -> None:
    add(database, scope, "job-1")
    held = claim(database)
    assert held is not None
    end_lease(database, held)

    with database.transaction() as connection:
        WorkRepository(connection).beat(held, lease_seconds=60)

    assert requeue_expired(database) == []


def test_a_worker_that_starts_anew_ends_its_former_leases_and_no_others(
    database: Database, scope: Scope
) -> None:
    add(database, scope, "job-1", "job-2")
    claim(database, "host/train-1")
    claim(database, "host/train-10")

    with database.transaction() as connection:
        WorkRepository(connection).expire_leases_of("host/train-1")

    assert [c.subject_id for c in requeue_expired(database)] == ["job-1"]


def test_the_project_with_less_running_work_goes_first(database: Database, scope: Scope) -> None:
    from service.core.repositories.access import AccessRepository

    with database.transaction() as connection:
        other = AccessRepository(connection).ensure_default_project("other")
    add(database, scope, "busy-1", "busy-2")
    add(database, other, "idle-1")
    first = claim(database)

    second = claim(database)

    assert first is not None
    assert second is not None
    assert (first.subject_id, second.subject_id) == ("busy-1", "idle-1")


def test_the_first_failure_is_retried_at_once_and_later_ones_after_growing_pauses() -> None:
    assert [backoff_seconds(n) for n in range(1, 6)] == [0, 5, 10, 20, 40]


def test_work_that_failed_twice_is_not_claimed_before_its_pause_is_over(
    database: Database, scope: Scope
) -> None:
    add(database, scope, "job-1")
    for _ in range(2):
        held = claim(database)
        assert held is not None
        with database.transaction() as connection:
            WorkRepository(connection).release(held, failed=True)

    assert claim(database) is None


def test_only_unclaimed_work_is_rung_and_a_ring_is_not_repeated_at_once(
    database: Database, scope: Scope
) -> None:
    add(database, scope, "job-1", "job-2")
    claim(database)

    with database.transaction() as connection:
        repository = WorkRepository(connection)
        due = repository.due(ring_again_seconds=30)
        repository.mark_rung(due)
        again = repository.due(ring_again_seconds=30)
        lost = repository.due(ring_again_seconds=-1)

    assert [item.subject_id for item in due] == ["job-2"]
    assert again == []
    assert [item.subject_id for item in lost] == ["job-2"]


def test_a_ring_answered_before_it_was_noted_does_not_silence_the_next_one(
    database: Database, scope: Scope
) -> None:
    add(database, scope, "job-1")
    with database.transaction() as connection:
        due = WorkRepository(connection).due(ring_again_seconds=30)
    held = claim(database)
    assert held is not None

    with database.transaction() as connection:
        repository = WorkRepository(connection)
        repository.release(held, failed=False)
        repository.mark_rung(due)
        again = repository.due(ring_again_seconds=30)

    assert [item.subject_id for item in again] == ["job-1"]


def test_progress_starts_the_count_of_failures_anew(database: Database, scope: Scope) -> None:
    add(database, scope, "job-1")
    failures = []
    for progressed in (False, True):
        held = claim(database)
        assert held is not None
        with database.transaction() as connection:
            repository = WorkRepository(connection)
            if progressed:
                repository.note_progress(held)
            failures.append(repository.release(held, failed=True))

    assert failures == [1, 1]


def test_waiting_work_knows_its_place(database: Database, scope: Scope) -> None:
    add(database, scope, "job-1", "job-2", "job-3")
    claim(database)

    with database.snapshot() as connection:
        repository = WorkRepository(connection)
        places = [repository.waiting_before(f"job-{n}") for n in (1, 2, 3)]

    assert places == [None, 0, 1]
