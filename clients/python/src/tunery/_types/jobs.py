"""Fine-tuning jobs, their events and checkpoints."""

from collections.abc import Mapping
from typing import Any, ClassVar

from tunery._types.base import APIObject, Listed


class JobError(APIObject):
    """Why a job failed, for a program (`code`) and for a person (`message`)."""

    code: str
    message: str
    param: str | None = None


class JobProgress(APIObject):
    """How far a job is."""

    step: int
    total_steps: int
    epoch: float | None = None
    percent: float | None = None


class FineTuningJob(Listed):
    """A job as it stood when the server answered."""

    FINISHED: ClassVar[frozenset[str]] = frozenset({"succeeded", "failed", "cancelled"})

    status: str
    """validating_files, queued, running, paused, succeeded, failed or cancelled."""
    model: str
    fine_tuned_model: str | None = None
    """The name to chat with; set once the job has succeeded."""
    created_at: int
    finished_at: int | None = None
    estimated_finish: int | None = None
    """Unix seconds, while the job runs."""
    training_file: str
    validation_file: str | None = None
    result_files: tuple[str, ...] = ()
    trained_tokens: int | None = None
    error: JobError | None = None
    seed: int | None = None
    hyperparameters: dict[str, Any] | None = None
    method: dict[str, Any] | None = None
    metadata: Mapping[str, str] | None = None
    progress: JobProgress | None = None
    queue_position: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in self.FINISHED


class JobEvent(Listed):
    """Something that happened to a job."""

    created_at: int
    level: str
    """info, warn or error."""
    message: str
    type: str = "message"
    """message or metrics."""
    data: Any = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The numbers of a metrics event; empty for any other."""
        if self.type != "metrics" or not isinstance(self.data, dict):
            return {}
        return {name: value for name, value in self.data.items() if isinstance(value, int | float)}


class CheckpointMetrics(APIObject):
    """What was measured at a checkpoint."""

    step: float | None = None
    train_loss: float | None = None
    train_mean_token_accuracy: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


class Checkpoint(Listed):
    """A stored state of a job's model, which can be chatted with."""

    created_at: int
    fine_tuning_job_id: str
    fine_tuned_model_checkpoint: str
    step_number: int
    metrics: CheckpointMetrics
