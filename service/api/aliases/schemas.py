"""Wire shapes of aliases."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.wire import Answer, RequestBody
from service.core.domain.models import ModelAlias
from service.core.model_names import MAX_CHARACTERS
from service.core.repositories.paging import Page

AliasName = Annotated[
    str, Field(max_length=MAX_CHARACTERS, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$")
]
"""What may stand in a path without being changed on its way."""


class SetAlias(RequestBody):
    """A name, and what it shall mean."""

    alias: AliasName
    model: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS)]
    """A base, an embedding model, a tuned model, a checkpoint, or another alias."""


class AliasObject(Answer):
    """A further name of a model."""

    id: str
    object: Literal["model.alias"] = "model.alias"
    alias: str
    model: str
    created_at: int
    updated_at: int
    """When it was last pointed at a model."""

    @classmethod
    def from_domain(cls, alias: ModelAlias) -> "AliasObject":
        return cls(
            id=alias.id,
            alias=alias.name,
            model=alias.target,
            created_at=int(alias.created_at),
            updated_at=int(alias.updated_at),
        )


class AliasList(Answer):
    """A page of aliases."""

    object: Literal["list"] = "list"
    data: list[AliasObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[ModelAlias]) -> "AliasList":
        return cls(
            data=[AliasObject.from_domain(alias) for alias in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )


class AliasDeleted(Answer):
    """The name means nothing any more; the model is still there."""

    id: str
    object: Literal["model.alias"] = "model.alias"
    deleted: Literal[True] = True
