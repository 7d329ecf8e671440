"""/v1/batches"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.batches.requests import CreateBatch
from service.api.batches.schemas import BatchList, BatchObject
from service.api.batches.service import BatchService
from service.api.dependencies import PrincipalDep, ResourcesDep

router = APIRouter(prefix="/v1/batches", tags=["batches"])


async def _service(resources: ResourcesDep) -> BatchService:
    return BatchService(resources.database, pool=resources.settings.pool)


BatchesDep = Annotated[BatchService, Depends(_service)]


@router.post("")
def create_batch(
    body: CreateBatch, caller: PrincipalDep, batches: BatchesDep, resources: ResourcesDep
) -> BatchObject:
    """Have a file of requests answered in the background."""
    batch = batches.create(caller, body)
    resources.ringer.wish()
    return BatchObject.from_domain(batch)


@router.get("")
def list_batches(
    caller: PrincipalDep,
    batches: BatchesDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> BatchList:
    """List the project's batches, newest first."""
    page = batches.list(caller, after=after, limit=limit)
    return BatchList.of(page, BatchObject.from_domain)


@router.get("/{batch_id}")
def retrieve_batch(batch_id: str, caller: PrincipalDep, batches: BatchesDep) -> BatchObject:
    """Describe a batch."""
    return BatchObject.from_domain(batches.get(caller, batch_id))


@router.post("/{batch_id}/cancel")
def cancel_batch(batch_id: str, caller: PrincipalDep, batches: BatchesDep) -> BatchObject:
    """Stop a batch; what is answered by then stays."""
    return BatchObject.from_domain(batches.cancel(caller, batch_id))
