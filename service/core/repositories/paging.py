"""Pages of lists: newest first by (age, id), the cursor being the last row's id."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, and_, or_, select

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
    age: Column[Any] | None = None,
) -> Page[T]:
    """Rows that meet `condition`, by (age, id), newest first unless `ascending`. The age is
    `created_at` if no other column is said to grow with time.

    Raises InvalidCursor when `after` is none of them.
    """
    order = (table.c.created_at if age is None else age, table.c.id)
    query: Select[Any] = select(table).where(condition)
    if after is not None:
        cursor = connection.execute(query.where(table.c.id == after)).first()
        if cursor is None:
            raise InvalidCursor(f"No item {after!r} in this list.", param="after")
        query = query.where(_beyond(order, cursor, ascending))
    query = query.order_by(*(order if ascending else (c.desc() for c in order)))
    rows = connection.execute(query.limit(limit + 1)).all()
    return Page(tuple(to_domain(row) for row in rows[:limit]), has_more=len(rows) > limit)


def _beyond(
    order: tuple[Column[Any], Column[Any]], cursor: Row[Any], ascending: bool
) -> ColumnElement[bool]:
    age, id_ = order
    cursor_age = getattr(cursor, age.name)
    if ascending:
        later, next_id = age > cursor_age, id_ > cursor.id
    else:
        later, next_id = age < cursor_age, id_ < cursor.id
    return or_(later, and_(age == cursor_age, next_id))
