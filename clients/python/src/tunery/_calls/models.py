"""Operations on models."""

from tunery._calls.parts import reading, segment
from tunery._flow import Call
from tunery._types import Deleted, Model, Page


def list_page() -> Call[Page[Model]]:
    return Call("GET", "models", reading(Page[Model]))


def retrieve(model: str) -> Call[Model]:
    return Call("GET", f"models/{segment(model)}", reading(Model))


def delete(model: str) -> Call[Deleted]:
    return Call("DELETE", f"models/{segment(model)}", reading(Deleted))
