"""Engines, the bases they hold, and what names mean. The operator's rows, shared by all tenants, so
no scope; a project's aliases come in through their own repository."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.models import Base
from service.core.engine_protocol import EngineRole, EngineState
from service.core.repositories.aliases import AliasRepository
from service.core.repositories.base_aliases import BaseAliasRepository
from service.core.repositories.embedders import EmbedderRepository
from service.core.tables import bases, engines

STALE_SECONDS = 5.0
"""An engine posts every 2 s; one that has been silent for this long counts as gone."""


class RegistryRepository:
    """Which engines live and which bases exist."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def report(self, state: EngineState) -> None:
        """Take an engine's own account of itself."""
        values = {
            "pool": state.pool,
            "url": state.url,
            "state": state.model_dump(mode="json"),
            "seen_at": database_now(),
        }
        changed = self._connection.execute(
            update(engines).where(engines.c.id == state.id).values(**values)
        ).rowcount
        if not changed:
            self._connection.execute(insert(engines).values(id=state.id, **values))
        self._record_bases(state)
        EmbedderRepository(self._connection).record(state.embedders)

    def _record_bases(self, state: EngineState) -> None:
        for position, base in enumerate(state.bases):
            values = {
                "digest": base.digest,
                "text_key": base.text_key,
                "context_length": base.context_length,
                "parameters": base.parameters,
                "position": position,
            }
            known = self.find_base(base.name)
            if known is None:
                self._connection.execute(
                    insert(bases).values(name=base.name, created_at=database_now(), **values)
                )
            elif (known.digest, known.position) != (base.digest, position):
                self._connection.execute(
                    update(bases).where(bases.c.name == base.name).values(**values)
                )

    def forget_engine(self, engine_id: str) -> None:
        """An engine that shuts down says so, instead of being missed for a while."""
        self._connection.execute(delete(engines).where(engines.c.id == engine_id))

    def live_engines(self, *, base: str, role: EngineRole) -> list[EngineState]:
        """Engines heard of lately that hold `base` and take `role`, most free slots first."""
        states = self._live()
        able = [s for s in states if role in s.roles and any(b.name == base for b in s.bases)]
        return sorted(able, key=lambda s: (-s.free_slots, s.active_streams, s.id))

    def live_embedding_engines(self, *, model: str) -> list[EngineState]:
        """Engines heard of lately that hold this embedding model, the least busy first."""
        able = [s for s in self._live() if any(e.name == model for e in s.embedders)]
        return sorted(able, key=lambda s: (s.active_streams, s.id))

    def _live(self) -> list[EngineState]:
        rows = self._connection.execute(
            select(engines.c.state).where(engines.c.seen_at > database_now() - STALE_SECONDS)
        ).scalars()
        return [EngineState.model_validate(row) for row in rows]

    def has_live_engine(self) -> bool:
        return (
            self._connection.scalar(
                select(engines.c.id).where(engines.c.seen_at > database_now() - STALE_SECONDS)
            )
            is not None
        )

    def find_base(self, name: str) -> Base | None:
        row = self._connection.execute(select(bases).where(bases.c.name == name)).first()
        return None if row is None else _to_domain(row)

    def meanings(self, name: str, scope: Scope) -> Iterator[str]:
        """The name itself, then what it is an alias of, and so on. The first of them that names a
        model is meant, so that no alias ever hides a model. A project's alias comes before the
        operator's of the same name. A circle ends where it closes."""
        own = AliasRepository(self._connection, scope)
        shared = BaseAliasRepository(self._connection)
        seen: set[str] = set()
        meaning: str | None = name
        while meaning is not None and meaning not in seen:
            yield meaning
            seen.add(meaning)
            alias = own.find(meaning)
            meaning = alias.target if alias else shared.find_target(meaning)

    def list_bases(self) -> list[Base]:
        """The operator's order: the default base first."""
        rows = self._connection.execute(select(bases).order_by(bases.c.position, bases.c.name))
        return [_to_domain(row) for row in rows]


def _to_domain(row: Row[Any]) -> Base:
    return Base(
        name=row.name,
        digest=row.digest,
        text_key=row.text_key,
        context_length=row.context_length,
        parameters=row.parameters,
        created_at=row.created_at,
        position=row.position,
    )
