"""/v1/files/{file_id}/report"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.reports.schemas import FileReport
from service.api.reports.service import ReportService
from service.core.hyperparameters import Hyperparameters, OverLength

router = APIRouter(tags=["files"])


async def _service(resources: ResourcesDep) -> ReportService:
    return ReportService(resources.database)


ReportsDep = Annotated[ReportService, Depends(_service)]


@router.get("/v1/files/{file_id}/report")
def retrieve_file_report(
    file_id: str,
    caller: PrincipalDep,
    reports: ReportsDep,
    resources: ResourcesDep,
    model: Annotated[
        str | None, Query(max_length=256, description="Whose tokens; the default base's if absent.")
    ] = None,
    method: Annotated[
        str | None,
        Query(max_length=64, description="`method.type`; what the rows look like if absent."),
    ] = None,
    max_seq_length: Annotated[
        int | None, Query(ge=8, description="Tokens of the longest row; a job's default if absent.")
    ] = None,
    over_length: Annotated[
        OverLength, Query(description="What becomes of a longer row.")
    ] = "error",
    after: Annotated[int, Query(ge=0, le=10_000, description="Findings to pass over.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> FileReport:
    """Say what was found in a training file; asked for at upload, and for each other model, method
    and limit when it is first asked for."""
    hyperparameters = Hyperparameters(
        max_seq_length=max_seq_length or "auto", over_length=over_length
    )
    report = reports.get(caller, file_id, model, method, hyperparameters)
    resources.ringer.wish()
    return FileReport.from_domain(report, after=after, limit=limit)
