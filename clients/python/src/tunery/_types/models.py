"""Models that answer."""

from tunery._types.base import Listed


class Model(Listed):
    """A base, a tuned model or a checkpoint."""

    created: int
    """Unix seconds."""
    owned_by: str


class ModelAlias(Listed):
    """A further name of a model."""

    alias: str
    model: str
    """What it means: a model, or another alias."""
