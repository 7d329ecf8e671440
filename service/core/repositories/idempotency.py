"""Idempotency keys of one project: who is answering under a key, and what was answered."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from service.core.tables import idempotency_keys

KEPT_SECONDS = 24 * 3600


@dataclass(frozen=True)
class KeyUse:
    """One request's use of a key."""

    route: str
    key: str
    holder: str
    """The request, as nobody else calls itself."""


@dataclass(frozen=True)
class StoredAnswer:
    """What the first request with a key was answered."""

    status: int
    media_type: str
    body: str
    is_sealed: bool


class IdempotencyRepository:
    """Keys used within `scope`; another project's same key is another key."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def begin(self, use: KeyUse, *, fingerprint: str, hold_seconds: float) -> StoredAnswer | None:
        """The stored answer; or None, and the key is held by this request.

        Raises IdempotencyKeyReused for other parameters than the first time, and
        IdempotencyKeyInUse while another request holds the key.
        """
        self._forget_old()
        row = self._connection.execute(select(idempotency_keys).where(self._is(use))).first()
        if row is None:
            self._insert(use, fingerprint, hold_seconds)
            return None
        if row.fingerprint != fingerprint:
            raise IdempotencyKeyReused(
                "This Idempotency-Key was sent before with other parameters; use another key for "
                "another request."
            )
        if row.status is not None:
            return StoredAnswer(row.status, row.media_type, row.body, row.is_sealed)
        self._take_over(use, hold_seconds)
        return None

    def prolong(self, use: KeyUse, *, hold_seconds: float) -> None:
        self._connection.execute(
            update(idempotency_keys)
            .where(self._is_held(use))
            .values(held_until=database_now() + hold_seconds)
        )

    def keep(self, use: KeyUse, answer: StoredAnswer) -> None:
        """From now on this is the answer under the key."""
        self._connection.execute(
            update(idempotency_keys)
            .where(self._is_held(use))
            .values(
                holder=None,
                held_until=None,
                status=answer.status,
                media_type=answer.media_type,
                body=answer.body,
                is_sealed=answer.is_sealed,
            )
        )

    def release(self, use: KeyUse) -> None:
        """As if the key had not been used."""
        self._connection.execute(delete(idempotency_keys).where(self._is_held(use)))

    def _insert(self, use: KeyUse, fingerprint: str, hold_seconds: float) -> None:
        try:
            with self._connection.begin_nested():
                self._connection.execute(
                    insert(idempotency_keys).values(
                        project_id=self._project,
                        route=use.route,
                        key=use.key,
                        fingerprint=fingerprint,
                        holder=use.holder,
                        held_until=database_now() + hold_seconds,
                        is_sealed=False,
                        created_at=database_now(),
                    )
                )
        except IntegrityError:  # another request was faster
            raise _in_use() from None

    def _take_over(self, use: KeyUse, hold_seconds: float) -> None:
        """From a request whose process died."""
        taken = self._connection.execute(
            update(idempotency_keys)
            .where(
                self._is(use),
                idempotency_keys.c.status.is_(None),
                idempotency_keys.c.held_until < database_now(),
            )
            .values(holder=use.holder, held_until=database_now() + hold_seconds)
        ).rowcount
        if not taken:
            raise _in_use()

    def _forget_old(self) -> None:
        unheld = or_(
            idempotency_keys.c.held_until.is_(None),
            idempotency_keys.c.held_until < database_now(),
        )
        self._connection.execute(
            delete(idempotency_keys).where(
                idempotency_keys.c.project_id == self._project,
                idempotency_keys.c.created_at < database_now() - KEPT_SECONDS,
                unheld,
            )
        )

    def _is(self, use: KeyUse) -> ColumnElement[bool]:
        return and_(
            idempotency_keys.c.project_id == self._project,
            idempotency_keys.c.route == use.route,
            idempotency_keys.c.key == use.key,
        )

    def _is_held(self, use: KeyUse) -> ColumnElement[bool]:
        return and_(self._is(use), idempotency_keys.c.holder == use.holder)


def _in_use() -> IdempotencyKeyInUse:
    return IdempotencyKeyInUse(
        "The first request with this Idempotency-Key is still being answered; try again shortly."
    )
