"""What a model with a head says."""

from tunery._types.base import APIObject


class Classified(APIObject):
    """What a head makes of one input; what it does not speak of is None."""

    index: int
    label: str | None = None
    labels: list[str] | None = None
    """Of a model with any number of labels an input."""
    probs: dict[str, float] | None = None
    score: float | None = None
    """Of a reward model; only differences between scores mean something."""


class Classification(APIObject):
    """One answer for each input."""

    model: str
    data: list[Classified]
