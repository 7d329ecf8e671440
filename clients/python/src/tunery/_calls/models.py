"""Operations on models."""

from tunery._calls.parts import cursor, reading, segment
from tunery._flow import Call
from tunery._types import Deleted, Model, ModelAlias, Page


def list_page() -> Call[Page[Model]]:
    return Call("GET", "models", reading(Page[Model]))


def retrieve(model: str) -> Call[Model]:
    return Call("GET", f"models/{segment(model)}", reading(Model))


def delete(model: str) -> Call[Deleted]:
    return Call("DELETE", f"models/{segment(model)}", reading(Deleted))


def set_alias(alias: str, model: str) -> Call[ModelAlias]:
    body = {"alias": alias, "model": model}
    return Call("POST", "models/aliases", reading(ModelAlias), body=body)


def list_aliases(*, limit: int | None = None, after: str | None = None) -> Call[Page[ModelAlias]]:
    query = cursor(limit=limit, after=after)
    return Call("GET", "models/aliases", reading(Page[ModelAlias]), query=query)


def delete_alias(alias: str) -> Call[Deleted]:
    return Call("DELETE", f"models/aliases/{segment(alias)}", reading(Deleted))
