"""Wire shapes of jobs, events and checkpoints, as they are answered."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from pydantic import SerializeAsAny

from service.api.fine_tuning.hyperparameters import Hyperparameters
from service.api.fine_tuning.methods import Method, hyperparameters_of
from service.api.fine_tuning.service import JobView
from service.api.fine_tuning.tunings import TuningObject
from service.api.wire import Answer
from service.core.domain.integrations import WandbIntegration
from service.core.domain.jobs import (
    Checkpoint,
    DataFacts,
    JobError,
    JobEvent,
    JobProgress,
    JobStatus,
)
from service.core.repositories.paging import Page


class JobErrorObject(Answer):
    """Why a job failed."""

    code: str
    message: str
    param: str | None

    @classmethod
    def from_domain(cls, error: JobError) -> "JobErrorObject":
        return cls(code=error.code, message=error.message, param=error.param)


class ProgressObject(Answer):
    """How far the running attempt is."""

    step: int
    total_steps: int
    epoch: float
    percent: float

    @classmethod
    def from_domain(cls, progress: JobProgress) -> "ProgressObject":
        return cls(
            step=progress.step,
            total_steps=progress.total_steps,
            epoch=progress.epoch,
            percent=round(100 * progress.step / max(1, progress.total_steps), 1),
        )


class DataFactsObject(Answer):
    """What is trained on."""

    examples: int
    tokens: int
    labels: list[str]
    """Of a classification."""
    truncated: int
    skipped: int
    """Rows that were too long."""

    @classmethod
    def from_domain(cls, facts: DataFacts) -> "DataFactsObject":
        return cls.model_validate(asdict(facts))


class ConfigObject(Answer):
    """Everything that the training depends on, resolved."""

    base: str
    start_from: str | None
    """The tuned model or checkpoint whose weights are trained further."""
    seed: int
    method: Method
    tuning: TuningObject
    exact: bool
    data: DataFactsObject | None


class WandbObject(Answer):
    """The W&B run, as it was asked for."""

    project: str
    name: str | None
    entity: str | None
    tags: list[str]


class IntegrationObject(Answer):
    """A service that the job reports to."""

    type: Literal["wandb"] = "wandb"
    wandb: WandbObject

    @classmethod
    def from_domain(cls, wandb: WandbIntegration) -> "IntegrationObject":
        return cls(
            wandb=WandbObject(
                project=wandb.project,
                name=wandb.name,
                entity=wandb.entity,
                tags=list(wandb.tags),
            )
        )


class FineTuningJobObject(Answer):
    """A job; the members behind `metadata` are ours."""

    id: str
    object: Literal["fine_tuning.job"] = "fine_tuning.job"
    created_at: int
    finished_at: int | None
    model: str
    fine_tuned_model: str | None
    organization_id: str
    status: JobStatus
    hyperparameters: SerializeAsAny[Hyperparameters]
    method: Method
    training_file: str
    validation_file: str | None
    result_files: list[str]
    trained_tokens: int | None
    error: JobErrorObject | None
    user_provided_suffix: str | None
    seed: int
    estimated_finish: int | None
    integrations: list[IntegrationObject]
    metadata: Mapping[str, str] | None
    progress: ProgressObject | None
    queue_position: int | None
    """While it waits: 1 is the next."""
    attempts: int
    tuning: TuningObject
    exact: bool
    config: ConfigObject | None
    """Null until the files are validated."""

    @classmethod
    def from_domain(cls, view: JobView) -> "FineTuningJobObject":
        job = view.job
        method = Method.from_domain(job)
        tuning = TuningObject.from_domain(job.tuning)
        config = ConfigObject(
            base=job.base,
            start_from=None if job.start is None else job.start.model,
            seed=job.seed,
            method=method,
            tuning=tuning,
            exact=job.exact,
            data=None if job.facts is None else DataFactsObject.from_domain(job.facts),
        )
        return cls(
            id=job.id,
            created_at=int(job.created_at),
            finished_at=_seconds(job.finished_at),
            model=job.model,
            fine_tuned_model=(
                job.reserved_model_name if job.status == JobStatus.SUCCEEDED else None
            ),
            organization_id=job.organization_id,
            status=job.status,
            hyperparameters=hyperparameters_of(job),
            method=method,
            training_file=job.training_file,
            validation_file=job.validation_file,
            result_files=list(job.result_files),
            trained_tokens=job.trained_tokens,
            error=None if job.error is None else JobErrorObject.from_domain(job.error),
            user_provided_suffix=job.suffix,
            seed=job.seed,
            estimated_finish=_seconds(job.estimated_finish),
            integrations=[IntegrationObject.from_domain(each) for each in job.integrations],
            metadata=job.metadata,
            progress=None if job.progress is None else ProgressObject.from_domain(job.progress),
            queue_position=view.queue_position,
            attempts=job.attempts,
            tuning=tuning,
            exact=job.exact,
            config=None if job.resolved is None else config,
        )


class FineTuningJobList(Answer):
    """A page of jobs."""

    object: Literal["list"] = "list"
    data: list[FineTuningJobObject]
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[JobView]) -> "FineTuningJobList":
        data = [FineTuningJobObject.from_domain(view) for view in page.items]
        return cls(data=data, has_more=page.has_more)


class EventObject(Answer):
    """Something that happened to a job."""

    id: str
    object: Literal["fine_tuning.job.event"] = "fine_tuning.job.event"
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    type: Literal["message", "metrics"]
    data: Mapping[str, Any]

    @classmethod
    def from_domain(cls, event: JobEvent) -> "EventObject":
        return cls(
            id=event.id,
            created_at=int(event.created_at),
            level=event.level.value,
            message=event.message,
            type=event.type,
            data=event.data,
        )


class EventList(Answer):
    """A page of events."""

    object: Literal["list"] = "list"
    data: list[EventObject]
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[JobEvent]) -> "EventList":
        data = [EventObject.from_domain(event) for event in page.items]
        return cls(data=data, has_more=page.has_more)


class CheckpointObject(Answer):
    """Stored weights of a step: a model at once."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    step_number: int
    metrics: Mapping[str, float]

    @classmethod
    def from_domain(cls, checkpoint: Checkpoint) -> "CheckpointObject":
        return cls(
            id=checkpoint.id,
            created_at=int(checkpoint.created_at),
            fine_tuned_model_checkpoint=checkpoint.model_name,
            fine_tuning_job_id=checkpoint.job_id,
            step_number=checkpoint.step,
            metrics=checkpoint.metrics,
        )


class CheckpointList(Answer):
    """A page of checkpoints."""

    object: Literal["list"] = "list"
    data: list[CheckpointObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[Checkpoint]) -> "CheckpointList":
        return cls(
            data=[CheckpointObject.from_domain(checkpoint) for checkpoint in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )


def _seconds(moment: float | None) -> int | None:
    return None if moment is None else int(moment)
