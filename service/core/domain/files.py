"""Uploaded and produced files."""

from dataclasses import dataclass
from enum import StrEnum


class FilePurpose(StrEnum):
    """What a file is for."""

    ASSISTANTS = "assistants"
    ASSISTANTS_OUTPUT = "assistants_output"
    BATCH = "batch"
    BATCH_OUTPUT = "batch_output"
    FINE_TUNE = "fine-tune"
    FINE_TUNE_RESULTS = "fine-tune-results"
    VISION = "vision"
    USER_DATA = "user_data"
    EVALS = "evals"


UPLOAD_PURPOSES = frozenset(FilePurpose) - {
    FilePurpose.ASSISTANTS_OUTPUT,
    FilePurpose.BATCH_OUTPUT,
    FilePurpose.FINE_TUNE_RESULTS,
}


@dataclass(frozen=True)
class File:
    """A stored file; `filename` is for display only and never part of a key."""

    id: str
    project_id: str
    filename: str
    purpose: FilePurpose
    bytes: int
    sha256: str
    key: str
    created_at: float
    expires_at: float | None = None
    """From then on the file is as good as deleted."""


class UploadStatus(StrEnum):
    """Where an upload in parts stands."""

    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Upload:
    """A file on its way, in parts."""

    id: str
    project_id: str
    filename: str
    purpose: FilePurpose
    bytes: int
    """What all parts together must amount to."""
    file_seconds: int | None
    """Life time of the file to come; None is for ever."""
    status: UploadStatus
    file_id: str | None
    created_at: float
    expires_at: float


@dataclass(frozen=True)
class UploadPart:
    """A stored piece of an upload; its place is told when the upload is completed."""

    id: str
    upload_id: str
    bytes: int
    sha256: str
    key: str
    created_at: float
