"""Models that answer."""

from tunery._types.base import Listed


class Model(Listed):
    """A base, a tuned model or a checkpoint."""

    created: int
    """Unix seconds."""
    owned_by: str
