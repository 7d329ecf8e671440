"""Long operations: models on their way in and out, jobs that are verified."""

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


class VerifiedStep(APIObject):
    """What a step lost, or was rewarded with, then and now."""

    step: int
    original: float | None = None
    replayed: float | None = None


class VerifiedWeights(APIObject):
    """Whether the last checkpoint within the replayed steps has the same bytes."""

    step: int
    is_equal: bool


class VerifiedMember(APIObject):
    """A member of the receipt, and what was found instead."""

    name: str
    receipt: Any = None
    found: Any = None


class VerificationResult(APIObject):
    """What the comparison says."""

    verdict: str
    """equal, within_tolerance or different."""
    unmixed: bool
    """Whether the job shared no pass with another, so that the same bytes can be expected."""
    steps: int
    metric: str | None = None
    tolerance: float | None = None
    largest_difference: float | None = None
    losses: list[VerifiedStep] = Field(default_factory=list)
    weights: VerifiedWeights | None = None
    differences: list[VerifiedMember] = Field(default_factory=list)
    """What the receipt says and the job's record, metrics or data contradict."""
    environment: list[VerifiedMember] = Field(default_factory=list)
    """Device and versions that are others now."""


class Verification(Operation):
    """A job's first steps, done once more and compared."""

    job_id: str
    result: VerificationResult | None = None
