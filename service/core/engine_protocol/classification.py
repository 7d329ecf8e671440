"""A served head over the wire: rows of token ids in, the head's numbers out."""

from typing import Literal

from pydantic import Field

from service.core.engine_protocol.models import Message, ModelRef


class ClassifyRequest(Message):
    """Rows for a model's head. `model.base` is a base or an embedding model."""

    tenant: str
    """Project id: part of every cache key."""
    model: ModelRef
    rows: tuple[tuple[int, ...], ...] = Field(min_length=1)


class Classified(Message):
    """What the head gave, in the order of the rows."""

    kind: Literal["classification", "reward"]
    labels: tuple[str, ...] = ()
    """Of the numbers of a row; of a `classification` alone."""
    multi_label: bool = False
    scores: tuple[tuple[float, ...], ...]
    """Logits, divided by the head's temperature; of a `reward` one number a row."""
