"""Fine-tuning jobs, their events and checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from service.core.domain.integrations import WandbIntegration
from service.core.domain.models import Delta
from service.core.hyperparameters import ResolvedHyperparameters, SupervisedHyperparameters


class JobStatus(StrEnum):
    """Where a job stands; the legal moves are in `service.core.lifecycle`."""

    VALIDATING_FILES = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class JobError:
    """Why a job failed, for a program (`code`) and for a person (`message`)."""

    code: str
    message: str
    param: str | None


@dataclass(frozen=True)
class LoraTuningSpec:
    """What is trained: a low-rank adapter."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    use_rslora: bool = False


@dataclass(frozen=True)
class JobProgress:
    """How far the running attempt is."""

    step: int
    total_steps: int
    epoch: float
    """Fractional epochs done."""


@dataclass(frozen=True)
class FineTuningJob:
    """A job as the database has it."""

    id: str
    project_id: str
    organization_id: str
    status: JobStatus
    model: str
    """As requested: a base name for now."""
    base: str
    training_file: str
    validation_file: str | None
    suffix: str | None
    seed: int
    method: Literal["supervised"]
    hyperparameters: SupervisedHyperparameters
    resolved: ResolvedHyperparameters | None
    """Numbers for every `auto`, known once the files are validated."""
    tuning: LoraTuningSpec
    reserved_model_name: str
    """The tuned name, fixed at creation and public once the job has succeeded."""
    metadata: Mapping[str, str] | None
    integrations: tuple[WandbIntegration, ...]
    result_files: tuple[str, ...]
    trained_tokens: int | None
    error: JobError | None
    progress: JobProgress | None
    attempts: int
    created_at: float
    finished_at: float | None
    estimated_finish: float | None

    @property
    def finished(self) -> bool:
        return self.status in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class EventLevel(StrEnum):
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


EventType = Literal["message", "metrics"]
MetricValue = float | int


@dataclass(frozen=True)
class NewEvent:
    """An event to be written."""

    message: str
    level: EventLevel = EventLevel.INFO
    type: EventType = "message"
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class JobEvent:
    """A written event; `number` grows over all events and orders them."""

    id: str
    number: int
    job_id: str
    created_at: float
    level: EventLevel
    type: EventType
    message: str
    data: Mapping[str, object]


@dataclass(frozen=True)
class Checkpoint:
    """Stored weights of a step: a model at once."""

    id: str
    job_id: str
    project_id: str
    model_name: str
    step: int
    metrics: Mapping[str, MetricValue]
    delta: Delta
    state: Delta | None
    """What training can go on from; kept for the last two checkpoints of an unfinished job."""
    created_at: float
