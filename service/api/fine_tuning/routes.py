"""/v1/fine_tuning/jobs"""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query

from service.api.chat.connection import EventStream
from service.api.dependencies import MetadataDep, PrincipalDep, RepeatedDep, ResourcesDep
from service.api.fine_tuning.event_stream import stream_events
from service.api.fine_tuning.requests import CreateJob
from service.api.fine_tuning.schemas import (
    CheckpointList,
    EventList,
    FineTuningJobList,
    FineTuningJobObject,
)
from service.api.fine_tuning.service import JobService
from service.api.wire import EVENT_STREAM

router = APIRouter(prefix="/v1/fine_tuning/jobs", tags=["fine-tuning"])

After = Annotated[str | None, Query(max_length=64)]


async def _service(resources: ResourcesDep) -> JobService:
    settings = resources.settings
    return JobService(resources.database, pool=settings.pool, wandb_mode=settings.wandb_mode)


JobsDep = Annotated[JobService, Depends(_service)]


@router.post("")
def create_job(
    body: CreateJob,
    caller: PrincipalDep,
    jobs: JobsDep,
    repeated: RepeatedDep,
    resources: ResourcesDep,
) -> FineTuningJobObject:
    """Create a job; its files are validated afterwards."""
    view = jobs.create(caller, body, is_repeated=repeated)
    resources.ringer.wish()
    return FineTuningJobObject.from_domain(view)


@router.get("")
def list_jobs(
    caller: PrincipalDep,
    jobs: JobsDep,
    pairs: MetadataDep,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    metadata: Annotated[
        str | None, Query(description="`metadata[key]=value`, or `null` for jobs without any.")
    ] = None,
) -> FineTuningJobList:
    """List the project's jobs, newest first."""
    page = jobs.list(
        caller, after=after, limit=limit, metadata=pairs, without_metadata=metadata == "null"
    )
    return FineTuningJobList.from_page(page)


@router.get("/{fine_tuning_job_id}")
def retrieve_job(
    fine_tuning_job_id: str, caller: PrincipalDep, jobs: JobsDep
) -> FineTuningJobObject:
    """Describe a job."""
    return FineTuningJobObject.from_domain(jobs.get(caller, fine_tuning_job_id))


@router.post("/{fine_tuning_job_id}/cancel")
def cancel_job(
    fine_tuning_job_id: str,
    caller: PrincipalDep,
    jobs: JobsDep,
    repeated: RepeatedDep,
    resources: ResourcesDep,
) -> FineTuningJobObject:
    """Cancel an unfinished job."""
    view = jobs.cancel(caller, fine_tuning_job_id, is_repeated=repeated)
    resources.ringer.wish()  # a webhook may be due
    return FineTuningJobObject.from_domain(view)


@router.post("/{fine_tuning_job_id}/pause")
def pause_job(
    fine_tuning_job_id: str, caller: PrincipalDep, jobs: JobsDep, repeated: RepeatedDep
) -> FineTuningJobObject:
    """Let a queued or running job rest; what it has trained is stored."""
    view = jobs.pause(caller, fine_tuning_job_id, is_repeated=repeated)
    return FineTuningJobObject.from_domain(view)


@router.post("/{fine_tuning_job_id}/resume")
def resume_job(
    fine_tuning_job_id: str,
    caller: PrincipalDep,
    jobs: JobsDep,
    repeated: RepeatedDep,
    resources: ResourcesDep,
) -> FineTuningJobObject:
    """Queue a paused job again; it goes on where it stopped."""
    view = jobs.resume(caller, fine_tuning_job_id, is_repeated=repeated)
    resources.ringer.wish()
    return FineTuningJobObject.from_domain(view)


@router.get(
    "/{fine_tuning_job_id}/events",
    response_model=EventList,
    responses=EVENT_STREAM,
)
def list_job_events(
    fine_tuning_job_id: str,
    caller: PrincipalDep,
    jobs: JobsDep,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    stream: Annotated[
        bool, Query(description="Oldest first, as server-sent events, until the job has ended.")
    ] = False,
    last_event_id: Annotated[str | None, Header(max_length=64)] = None,
) -> EventList | EventStream:
    """List what happened to a job, newest first; or follow it, from the event that `after` or
    `Last-Event-ID` names."""
    if stream:
        number = jobs.event_number(caller, fine_tuning_job_id, last_event_id or after)
        return EventStream(stream_events(jobs, caller, fine_tuning_job_id, after=number))
    page = jobs.list_events(caller, fine_tuning_job_id, after=after, limit=limit)
    return EventList.from_page(page)


@router.get("/{fine_tuning_job_id}/checkpoints")
def list_job_checkpoints(
    fine_tuning_job_id: str,
    caller: PrincipalDep,
    jobs: JobsDep,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 10,
) -> CheckpointList:
    """List a job's stored weights, newest first."""
    page = jobs.list_checkpoints(caller, fine_tuning_job_id, after=after, limit=limit)
    return CheckpointList.from_page(page)
