"""Pages of lists: newest first by (created_at, id), the cursor being the last row's id."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, or_, select

from service.core.errors import InvalidCursor

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """Part of a list."""

    items: tuple[T, ...]
    has_more: bool


def fetch_page(
    connection: Connection,
    table: Table,
    condition: ColumnElement[bool],
    *,
    after: str | None,
    limit: int,
    to_domain: Callable[[Row[Any]], T],
    ascending: bool = False,
) -> Page[T]:
    """Rows that meet `condition`, by (created_at, id), newest first unless `ascending`.

    Raises InvalidCursor when `after` is none of them.
    """
    query: Select[Any] = select(table).where(condition)
    if after is not None:
        cursor = connection.execute(query.where(table.c.id == after)).first()
        if cursor is None:
            raise InvalidCursor(f"No item {after!r} in this list.", param="after")
        query = query.where(_beyond(table, cursor, ascending))
    order = (table.c.created_at, table.c.id)
    query = query.order_by(*(order if ascending else (c.desc() for c in order)))
    rows = connection.execute(query.limit(limit + 1)).all()
    return Page(tuple(to_domain(row) for row in rows[:limit]), has_more=len(rows) > limit)


def _beyond(table: Table, cursor: Row[Any], ascending: bool) -> ColumnElement[bool]:
    created_at, id_ = table.c.created_at, table.c.id
    if ascending:
        later, next_id = created_at > cursor.created_at, id_ > cursor.id
    else:
        later, next_id = created_at < cursor.created_at, id_ < cursor.id
    return or_(later, and_(created_at == cursor.created_at, next_id))
