"""Uploaded and produced files."""

from dataclasses import dataclass
from enum import StrEnum


class FilePurpose(StrEnum):
    """What a file is for."""

    ASSISTANTS = "assistants"
    BATCH = "batch"
    FINE_TUNE = "fine-tune"
    FINE_TUNE_RESULTS = "fine-tune-results"
    VISION = "vision"
    USER_DATA = "user_data"
    EVALS = "evals"


UPLOAD_PURPOSES = frozenset(FilePurpose) - {FilePurpose.FINE_TUNE_RESULTS}


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
