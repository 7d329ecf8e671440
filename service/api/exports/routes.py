"""/v1/models/{model}/exports. Names may hold slashes, so `{model:path}`."""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.exports.requests import CreateExport
from service.api.exports.schemas import ExportList, ExportObject
from service.api.exports.service import ExportService

router = APIRouter(prefix="/v1/models/{model:path}/exports", tags=["models"])


async def _service(resources: ResourcesDep) -> ExportService:
    return ExportService(resources.database, pool=resources.settings.pool)


ExportsDep = Annotated[ExportService, Depends(_service)]


@router.post("")
def create_model_export(
    model: str,
    body: CreateExport,
    caller: PrincipalDep,
    exports: ExportsDep,
    resources: ResourcesDep,
) -> ExportObject:
    """Make a file of a tuned model, proven to compute what is served."""
    operation = exports.create(caller, model, body)
    resources.ringer.wish()
    return ExportObject.from_domain(operation)


@router.get("")
def list_model_exports(
    model: str,
    caller: PrincipalDep,
    exports: ExportsDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ExportList:
    """List a model's exports, newest first."""
    return ExportList.from_page(exports.list(caller, model, after=after, limit=limit))


@router.delete("", include_in_schema=False)
def refuse_deletion(model: str, after: str | None = None, limit: str | None = None) -> None:
    """Or the address would be taken for that of a model whose name ends so."""
    del model, after, limit
    raise HTTPException(405, headers={"Allow": "GET, POST"})


@router.get("/{export_id}")
def retrieve_model_export(
    model: str, export_id: str, caller: PrincipalDep, exports: ExportsDep
) -> ExportObject:
    """How far an export is, and what came of it."""
    return ExportObject.from_domain(exports.get(caller, model, export_id))


@router.post("/{export_id}/cancel")
def cancel_model_export(
    model: str, export_id: str, caller: PrincipalDep, exports: ExportsDep
) -> ExportObject:
    """Stop an export; no file appears."""
    return ExportObject.from_domain(exports.cancel(caller, model, export_id))
