"""Labels and scores of models with a head."""

from collections.abc import Mapping, Sequence
from typing import Any

from tunery._calls.parts import reading
from tunery._flow import Call
from tunery._types import Classification

ClassifyInput = (
    str | Sequence[str] | Sequence[Mapping[str, Any]] | Sequence[Sequence[Mapping[str, Any]]]
)
"""A text, several texts, the messages of one conversation, or several conversations."""


def create(*, model: str, input: ClassifyInput) -> Call[Classification]:
    given = input if isinstance(input, str) else list(input)
    body = {"model": model, "input": given}
    return Call("POST", "classify", reading(Classification), body=body)
