"""Embedding models that engines hold. The operator's rows, shared by all tenants: no scope."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from service.core.database import database_now
from service.core.domain.models import EmbeddingModel
from service.core.engine_protocol import EmbedderState
from service.core.errors import ModelNotFound
from service.core.tables import embedding_models


class EmbedderRepository:
    """Which embedding models exist."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def record(self, states: Sequence[EmbedderState]) -> None:
        """Take an engine's own account of them."""
        for position, state in enumerate(states):
            values = {**state.model_dump(exclude={"name"}), "position": position}
            known = self.find(state.name)
            if known is None:
                self._connection.execute(
                    insert(embedding_models).values(
                        name=state.name, created_at=database_now(), **values
                    )
                )
            elif known.digest != state.digest:
                self._connection.execute(
                    update(embedding_models)
                    .where(embedding_models.c.name == state.name)
                    .values(**values)
                )

    def find(self, name: str) -> EmbeddingModel | None:
        row = self._connection.execute(
            select(embedding_models).where(embedding_models.c.name == name)
        ).first()
        return None if row is None else _to_domain(row)

    def get(self, *meanings: str) -> EmbeddingModel:
        """The first of a name's meanings that is one. Raises ModelNotFound."""
        found = next(filter(None, map(self.find, meanings)), None)
        if found is None:
            raise ModelNotFound(f"There is no embedding model {meanings[0]!r}.", param="model")
        return found

    def first(self) -> EmbeddingModel:
        """Raises ModelNotFound where none is served."""
        for model in self.list():
            return model
        raise ModelNotFound("This server has no embedding model.")

    def list(self) -> list[EmbeddingModel]:
        """The operator's order."""
        rows = self._connection.execute(
            select(embedding_models).order_by(embedding_models.c.position, embedding_models.c.name)
        )
        return [_to_domain(row) for row in rows]


def _to_domain(row: Row[Any]) -> EmbeddingModel:
    return EmbeddingModel(
        name=row.name,
        digest=row.digest,
        text_key=row.text_key,
        context_length=row.context_length,
        dimensions=row.dimensions,
        created_at=row.created_at,
    )
