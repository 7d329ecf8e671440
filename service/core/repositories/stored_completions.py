"""Stored chat completions of one project."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    delete,
    exists,
    insert,
    select,
    update,
)

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.completions import StoredCompletion
from service.core.errors import CompletionNotFound
from service.core.repositories.paging import Page, fetch_page
from service.core.tables import stored_completion_metadata, stored_completions


class StoredCompletionRepository:
    """Completions visible within `scope`."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._project = scope.project_id

    def add(
        self,
        completion_id: str,
        *,
        model: str,
        messages: Sequence[Mapping[str, object]],
        answer: Mapping[str, object],
        metadata: dict[str, str] | None,
    ) -> None:
        self._connection.execute(
            insert(stored_completions).values(
                id=completion_id,
                project_id=self._project,
                model=model,
                messages=list(messages),
                answer=dict(answer),
                metadata=metadata,
                created_at=database_now(),
            )
        )
        self._add_pairs(completion_id, metadata)

    def get(self, completion_id: str) -> StoredCompletion:
        """Raises CompletionNotFound."""
        row = self._connection.execute(
            select(stored_completions).where(self._is(completion_id))
        ).first()
        if row is None:
            raise CompletionNotFound(
                f"No stored completion {completion_id!r}; only those created with store are kept.",
                param="completion_id",
            )
        return _to_domain(row)

    def list(
        self,
        *,
        model: str | None,
        metadata: Mapping[str, str],
        without_metadata: bool,
        after: str | None,
        limit: int,
        ascending: bool,
    ) -> Page[StoredCompletion]:
        """Only those of the model, if one is named, that have every pair, or none at all. Raises
        InvalidCursor."""
        conditions = [stored_completions.c.project_id == self._project]
        conditions += [_has_pair(name, value) for name, value in metadata.items()]
        if without_metadata:
            conditions.append(stored_completions.c.metadata.is_(None))
        if model is not None:
            conditions.append(stored_completions.c.model == model)
        return fetch_page(
            self._connection,
            stored_completions,
            and_(*conditions),
            after=after,
            limit=limit,
            to_domain=_to_domain,
            ascending=ascending,
        )

    def set_metadata(self, completion_id: str, metadata: dict[str, str] | None) -> StoredCompletion:
        """Replace all pairs. Raises CompletionNotFound."""
        self.get(completion_id)
        self._remove_pairs(completion_id)
        self._connection.execute(
            update(stored_completions).where(self._is(completion_id)).values(metadata=metadata)
        )
        self._add_pairs(completion_id, metadata)
        return self.get(completion_id)

    def delete(self, completion_id: str) -> None:
        """Raises CompletionNotFound."""
        self.get(completion_id)
        self._remove_pairs(completion_id)
        self._connection.execute(delete(stored_completions).where(self._is(completion_id)))

    def _add_pairs(self, completion_id: str, metadata: dict[str, str] | None) -> None:
        if metadata:
            self._connection.execute(
                insert(stored_completion_metadata),
                [
                    {
                        "completion_id": completion_id,
                        "project_id": self._project,
                        "name": name,
                        "value": value,
                    }
                    for name, value in metadata.items()
                ],
            )

    def _remove_pairs(self, completion_id: str) -> None:
        self._connection.execute(
            delete(stored_completion_metadata).where(
                stored_completion_metadata.c.completion_id == completion_id
            )
        )

    def _is(self, completion_id: str) -> ColumnElement[bool]:
        return and_(
            stored_completions.c.id == completion_id,
            stored_completions.c.project_id == self._project,
        )


def _has_pair(name: str, value: str) -> ColumnElement[bool]:
    return exists().where(
        stored_completion_metadata.c.completion_id == stored_completions.c.id,
        stored_completion_metadata.c.name == name,
        stored_completion_metadata.c.value == value,
    )


def _to_domain(row: Row[Any]) -> StoredCompletion:
    return StoredCompletion(
        id=row.id,
        model=row.model,
        messages=tuple(row.messages),
        answer=row.answer,
        metadata=row.metadata,
        created_at=row.created_at,
    )
