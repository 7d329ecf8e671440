"""Uploaded and produced files."""

from tunery._types.base import Listed


class File(Listed):
    """A stored file."""

    filename: str
    purpose: str
    """fine-tune for data sets, fine-tune-results for what a job wrote."""
    bytes: int
    created_at: int
    """Unix seconds."""
    expires_at: int | None = None
    status: str | None = None
