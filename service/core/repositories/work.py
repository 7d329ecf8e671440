"""Background work of all tenants: outbox, claim, lease, epoch. For workers and the reconciler,
so it takes no scope."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from service.core.database import database_now
from service.core.domain.work import Claim, WorkItem, WorkKind, WorkRequest
from service.core.errors import StaleEpoch
from service.core.ids import new_owner_id, new_work_id, owner_prefix
from service.core.tables import jobs, work

_FIRST_BACKOFF_SECONDS = 5.0


def backoff_seconds(failures: int) -> float:
    """Pause before the next attempt: none after the first failure, then 5·2^n s."""
    return 0.0 if failures <= 1 else _FIRST_BACKOFF_SECONDS * 2 ** (failures - 2)


class WorkRepository:
    """The work table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, project_id: str, kind: WorkKind, subject_id: str, *, pool: str) -> None:
        """The outbox entry; whoever commits it owes Redis nothing."""
        now = database_now()
        self._connection.execute(
            insert(work).values(
                id=new_work_id(),
                project_id=project_id,
                kind=kind,
                subject_id=subject_id,
                pool=pool,
                not_before=now,
                created_at=now,
            )
        )

    def remove(self, kind: WorkKind, subject_id: str) -> None:
        """Nothing more to do; a claim still held on it is fenced from now on."""
        self._connection.execute(delete(work).where(_of(kind, subject_id)))

    def hold(self, kind: WorkKind, subject_id: str) -> None:
        """Let nobody claim it until `unhold`; whoever has claimed it is asked to pause."""
        asked = case((work.c.owner.is_not(None), WorkRequest.PAUSE), else_=None)
        self._connection.execute(
            update(work).where(_of(kind, subject_id)).values(held=True, requested=asked)
        )

    def unhold(self, kind: WorkKind, subject_id: str) -> None:
        """It may be claimed again, at its old age, once it is nobody's. An attempt that was asked
        to pause still does."""
        self._connection.execute(
            update(work).where(_of(kind, subject_id)).values(held=False, rung_at=None)
        )

    def due(self, *, ring_again_seconds: float, limit: int = 100) -> list[WorkItem]:
        """Unclaimed work whose bell has not been rung, or so long ago that it was lost."""
        now = database_now()
        rows = self._connection.execute(
            select(work)
            .where(
                _claimable(),
                or_(work.c.rung_at.is_(None), work.c.rung_at < now - ring_again_seconds),
            )
            .order_by(work.c.priority.desc(), work.c.created_at)
            .limit(limit)
        ).all()
        return [_to_item(row) for row in rows]

    def mark_rung(self, items: Sequence[WorkItem]) -> None:
        """Note the rings, save for work that was claimed since: given back, it rings anew."""
        rung = tuple_(work.c.id, work.c.attempt).in_([(item.id, item.attempt) for item in items])
        self._connection.execute(update(work).where(rung).values(rung_at=database_now()))

    def claim_best(
        self, kind: WorkKind, pool: str, *, worker: str, lease_seconds: float
    ) -> Claim | None:
        """Claim the best open work of a pool: priority, then the project with the least work
        running, then age. None when there is none. Of racing workers each gets another one."""
        busy = (
            select(func.count())
            .select_from(other := work.alias())
            .where(other.c.project_id == work.c.project_id, other.c.owner.is_not(None))
            .scalar_subquery()
        )
        best = (
            select(work.c.id)
            .where(work.c.kind == kind, work.c.pool == pool, _claimable())
            .order_by(work.c.priority.desc(), busy, work.c.created_at, work.c.id)
            .limit(1)
            .with_for_update(skip_locked=True, of=work)
        )
        row = self._connection.execute(best).first()
        return None if row is None else self._claim(row.id, worker, lease_seconds)

    def claim(
        self, kind: WorkKind, subject_id: str, *, worker: str, lease_seconds: float
    ) -> Claim | None:
        """Claim one subject's work; None when it is gone, held by another, or not due."""
        row = self._connection.execute(
            select(work.c.id).where(_of(kind, subject_id), _claimable())
        ).first()
        return None if row is None else self._claim(row.id, worker, lease_seconds)

    def _claim(self, work_id: str, worker: str, lease_seconds: float) -> Claim | None:
        owner = new_owner_id(worker)
        row = self._connection.execute(
            update(work)
            .where(work.c.id == work_id, _claimable())
            .values(
                owner=owner,
                epoch=work.c.epoch + 1,
                attempt=work.c.attempt + 1,
                lease_until=database_now() + lease_seconds,
            )
            .returning(work)
        ).first()
        return None if row is None else _to_claim(row)

    def check(self, claim: Claim) -> WorkRequest | None:
        """Lock the claimed row for this transaction; returns what is asked of its holder.

        Raises StaleEpoch when the claim is lost.
        """
        row = self._connection.execute(
            select(work.c.requested).where(_held(claim)).with_for_update()
        ).first()
        return _request(claim, row)

    def beat(self, claim: Claim, *, lease_seconds: float) -> WorkRequest | None:
        """Prolong the lease; returns what is asked of its holder.

        Raises StaleEpoch when the claim is lost.
        """
        row = self._connection.execute(
            update(work)
            .where(_held(claim))
            .values(lease_until=database_now() + lease_seconds)
            .returning(work.c.requested)
        ).first()
        return _request(claim, row)

    def finish(self, claim: Claim) -> None:
        """Done for good. Raises StaleEpoch when the claim is lost."""
        if not self._connection.execute(delete(work).where(_held(claim))).rowcount:
            raise _stale(claim)

    def note_progress(self, claim: Claim) -> None:
        """Something new is safe (a checkpoint): failures are counted anew.

        Raises StaleEpoch when the claim is lost.
        """
        if not self._connection.execute(
            update(work).where(_held(claim)).values(failures=0)
        ).rowcount:
            raise _stale(claim)

    def release(self, claim: Claim, *, failed: bool, pause_seconds: float = 0.0) -> int:
        """Give work back to be claimed again; returns failures in a row.

        When it `failed`, the pause grows with them; else it is `pause_seconds`. Raises StaleEpoch
        when the claim is lost.
        """
        failures = self._connection.scalar(select(work.c.failures).where(_held(claim)))
        if failures is None:
            raise _stale(claim)
        failures += 1 if failed else 0
        pause = backoff_seconds(failures) if failed else pause_seconds
        self._connection.execute(
            update(work)
            .where(_held(claim))
            .values(
                owner=None,
                lease_until=None,
                rung_at=None,
                requested=None,
                failures=failures,
                not_before=database_now() + pause,
            )
        )
        return int(failures)

    def check_expired(self, claim: Claim) -> None:
        """Like `check`, for who is about to take the work away. Raises StaleEpoch when the owner
        has beaten again, or the claim is already lost."""
        held = self._connection.scalar(
            select(work.c.id)
            .where(_held(claim), work.c.lease_until < database_now())
            .with_for_update(skip_locked=True)
        )
        if held is None:
            raise _stale(claim)

    def expired(self) -> list[Claim]:
        """Claims whose owner has been silent past its lease; locked for this transaction."""
        rows = self._connection.execute(
            select(work)
            .where(work.c.owner.is_not(None), work.c.lease_until < database_now())
            .with_for_update(skip_locked=True)
        ).all()
        return [_to_claim(row) for row in rows]

    def expire_leases_of(self, worker: str) -> None:
        """End the leases of a worker's former self: the process of that name is known dead."""
        self._connection.execute(
            update(work)
            .where(work.c.owner.startswith(owner_prefix(worker), autoescape=True))
            .values(lease_until=database_now() - 1)
        )

    def waiting(self, kind: WorkKind, *, pool: str) -> int:
        """How many pieces of a kind wait to be claimed."""
        waiting = and_(work.c.owner.is_(None), work.c.held.is_(False))
        found = self._connection.scalar(
            select(func.count())
            .select_from(work)
            .where(work.c.kind == kind, work.c.pool == pool, waiting)
        )
        return found or 0

    def remaining_seconds(self, *, pool: str) -> list[float]:
        """Of each training that runs, as far as it says when it will end."""
        ends = self._connection.execute(
            select(jobs.c.estimated_finish - database_now())
            .select_from(work.join(jobs, jobs.c.id == work.c.subject_id))
            .where(
                work.c.kind == WorkKind.TRAINING,
                work.c.pool == pool,
                work.c.owner.is_not(None),
                jobs.c.estimated_finish.is_not(None),
            )
        ).scalars()
        return [max(0.0, float(seconds)) for seconds in ends]

    def waiting_before(self, subject_id: str) -> int | None:
        """How many open pieces of the same kind and pool stand before this one; None if it is
        not waiting."""
        waiting = and_(work.c.owner.is_(None), work.c.held.is_(False))
        mine = self._connection.execute(
            select(work).where(work.c.subject_id == subject_id, waiting)
        ).first()
        if mine is None:
            return None
        older = or_(
            work.c.created_at < mine.created_at,
            and_(work.c.created_at == mine.created_at, work.c.id < mine.id),
        )
        ahead = or_(work.c.priority > mine.priority, and_(work.c.priority == mine.priority, older))
        return self._connection.scalar(
            select(func.count())
            .select_from(work)
            .where(work.c.kind == mine.kind, work.c.pool == mine.pool, waiting, ahead)
        )


def _of(kind: WorkKind, subject_id: str) -> ColumnElement[bool]:
    return and_(work.c.kind == kind, work.c.subject_id == subject_id)


def _claimable() -> ColumnElement[bool]:
    return and_(work.c.owner.is_(None), work.c.held.is_(False), work.c.not_before <= database_now())


def _held(claim: Claim) -> ColumnElement[bool]:
    return and_(
        work.c.id == claim.work_id, work.c.epoch == claim.epoch, work.c.owner == claim.owner
    )


def _request(claim: Claim, row: Row[Any] | None) -> WorkRequest | None:
    if row is None:
        raise _stale(claim)
    return None if row.requested is None else WorkRequest(row.requested)


def _stale(claim: Claim) -> StaleEpoch:
    return StaleEpoch(f"attempt {claim.epoch} of {claim.subject_id} is no longer the current one")


def _to_item(row: Row[Any]) -> WorkItem:
    return WorkItem(
        row.id, row.project_id, WorkKind(row.kind), row.subject_id, row.pool, row.attempt
    )


def _to_claim(row: Row[Any]) -> Claim:
    return Claim(
        work_id=row.id,
        project_id=row.project_id,
        kind=WorkKind(row.kind),
        subject_id=row.subject_id,
        pool=row.pool,
        epoch=row.epoch,
        owner=row.owner,
        attempt=row.attempt,
    )
