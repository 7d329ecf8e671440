"""The wire shape of a part of a list, whatever is listed."""

from collections.abc import Callable
from typing import Generic, Literal, Self, TypeVar

from service.api.wire import Answer
from service.core.repositories.paging import Page

D = TypeVar("D")


class Listed(Answer):
    """An item that a list's cursor can name."""

    id: str


W = TypeVar("W", bound=Listed)


class ListPage(Answer, Generic[W]):
    """Items, and whether others follow; `last_id` is the `after` of the next page."""

    object: Literal["list"] = "list"
    data: list[W]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, page: Page[D], to_wire: Callable[[D], W]) -> Self:
        data = [to_wire(item) for item in page.items]
        return cls(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=page.has_more,
        )
