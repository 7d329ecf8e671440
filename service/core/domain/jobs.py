"""Fine-tuning jobs, their events and checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from service.core.domain.integrations import WandbIntegration
from service.core.domain.methods import Method
from service.core.domain.models import Delta
from service.core.domain.tunings import TuningSpec
from service.core.hyperparameters import Hyperparameters, ResolvedHyperparameters


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
class StartPoint:
    """The tuned model or checkpoint that a job goes on from, pinned to what it was at creation."""

    model: str
    delta: Delta


@dataclass(frozen=True)
class DataFacts:
    """What the validation of the files has found."""

    examples: int
    tokens: int
    labels: tuple[str, ...] = ()
    """Every label of a classification's training file, sorted."""
    is_multi_label: bool = False
    truncated: int = 0
    skipped: int = 0
    """Rows that were too long, and what became of them as `over_length` says."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each file's bytes, by the job's field that names it."""


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
    """As requested: a base, a tuned model or a checkpoint."""
    base: str
    """The root of the model's line."""
    start: StartPoint | None
    """None: the base itself."""
    training_file: str
    validation_file: str | None
    suffix: str | None
    seed: int
    method: Method
    hyperparameters: Hyperparameters
    resolved: ResolvedHyperparameters | None
    """Numbers for every `auto`, known once the files are validated."""
    facts: DataFacts | None
    """Known from then on, too."""
    tuning: TuningSpec
    exact: bool
    """Its passes are shared with no other job."""
    reserved_model_name: str
    """The tuned name, fixed at creation and public once the job has succeeded."""
    metadata: Mapping[str, str] | None
    integrations: tuple[WandbIntegration, ...]
    result_files: tuple[str, ...]
    trained_tokens: int | None
    artefacts: Mapping[str, str]
    """Object keys of what attempts leave beside checkpoints: `rows`, `receipt`, `reference`."""
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
    created_at: float


@dataclass(frozen=True)
class TrainingState:
    """What training can go on from; the last two of an unfinished job are kept."""

    job_id: str
    step: int
    place: Delta
