"""What all answers share."""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class APIObject(BaseModel):
    """A frozen answer that keeps fields this version of the client does not know."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class Listed(APIObject):
    """An answer that occurs in lists, where its id serves as the cursor."""

    id: str


class Deleted(APIObject):
    """The server's word that something is gone."""

    id: str
    deleted: bool


L = TypeVar("L", bound=Listed)


class Page(APIObject, Generic[L]):
    """One page of a list."""

    data: list[L]
    has_more: bool = False
