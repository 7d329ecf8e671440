"""Background work: outbox, lease, epoch and retries of every kind, in one table."""

from dataclasses import dataclass
from enum import StrEnum


class WorkKind(StrEnum):
    """What is to be done; each kind is one task of the queue."""

    VALIDATION = "validation"
    TRAINING = "training"
    BATCH = "batch"
    WEBHOOK = "webhook"
    FILE_REPORT = "file_report"
    IMPORT = "import"
    EXPORT = "export"
    VERIFICATION = "verification"


class WorkRequest(StrEnum):
    """What the holder of a claim is asked to do."""

    PAUSE = "pause"
    """Store what is done, and give the work back."""


@dataclass(frozen=True)
class WorkItem:
    """A piece of work that may need its bell rung."""

    id: str
    project_id: str
    kind: WorkKind
    subject_id: str
    pool: str
    attempt: int


@dataclass(frozen=True)
class Claim:
    """The right to work on something, until the lease ends or a higher epoch takes over.

    Every write of the attempt names the claim; a write that finds another epoch must not happen.
    """

    work_id: str
    project_id: str
    kind: WorkKind
    subject_id: str
    pool: str
    epoch: int
    owner: str
    attempt: int
    """1 for the first claim of this work."""
