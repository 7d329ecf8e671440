"""Long operations: models on their way in and out."""

from typing import Any

from pydantic import Field

from tunery._types.base import APIObject, Listed
from tunery._types.jobs import JobError


class Operation(Listed):
    """Asked for at once, done in the background."""

    status: str
    """queued, running, succeeded, failed or cancelled."""
    progress: float = 0.0
    """From 0 to 1."""
    error: JobError | None = None
    created_at: int
    finished_at: int | None = None

    @property
    def is_finished(self) -> bool:
        return self.status in ("succeeded", "failed", "cancelled")


class ImportResult(APIObject):
    """The adapter as it is served."""

    model: str
    warnings: list[str] = Field(default_factory=list)
    parity: dict[str, Any] = Field(default_factory=dict)


class ModelImport(Operation):
    """An adapter on its way to be a model."""

    base: str
    model: str
    result: ImportResult | None = None


class ExportResult(APIObject):
    """The file, and what proves it."""

    file: str
    bytes: int
    certificate: dict[str, Any] = Field(default_factory=dict)


class ModelExport(Operation):
    """A model on its way to be a file."""

    model: str
    format: str
    result: ExportResult | None = None
