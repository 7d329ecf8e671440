"""/v1/fine_tuning/jobs/{id}/metrics, /rows and /receipt: extensions to OpenAI's API."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.fine_tuning.record_schemas import MetricsObject, RowList
from service.api.fine_tuning.records import JobRecords, RowKind

router = APIRouter(prefix="/v1/fine_tuning/jobs/{fine_tuning_job_id}", tags=["fine-tuning"])


async def _records(resources: ResourcesDep) -> JobRecords:
    return JobRecords(resources.database, resources.store)


RecordsDep = Annotated[JobRecords, Depends(_records)]


@router.get("/metrics")
def job_metrics(
    fine_tuning_job_id: str,
    caller: PrincipalDep,
    records: RecordsDep,
    points: Annotated[int, Query(ge=2, le=10_000)] = 500,
) -> MetricsObject:
    """A job's metrics as curves of at most so many points."""
    return records.metrics(caller, fine_tuning_job_id, points=points)


@router.get("/rows")
def job_rows(
    fine_tuning_job_id: str,
    caller: PrincipalDep,
    records: RecordsDep,
    kind: RowKind = "all",
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RowList:
    """What each line of the training file lost in each epoch: all in the file's order, or those
    that stayed hardest, were never learnt, or do not belong to the others."""
    return records.rows(caller, fine_tuning_job_id, kind=kind, offset=offset, limit=limit)


@router.get("/receipt")
def job_receipt(
    fine_tuning_job_id: str, caller: PrincipalDep, records: RecordsDep
) -> dict[str, Any]:
    """What a finished job's weights depend on, so that it can be done again."""
    return records.receipt(caller, fine_tuning_job_id)
