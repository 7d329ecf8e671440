"""/v1/models/imports"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.imports.requests import CreateImport
from service.api.imports.schemas import ImportList, ImportObject
from service.api.imports.service import ImportService

router = APIRouter(prefix="/v1/models/imports", tags=["models"])


async def _service(resources: ResourcesDep) -> ImportService:
    return ImportService(resources.database, pool=resources.settings.pool)


ImportsDep = Annotated[ImportService, Depends(_service)]


@router.post("")
def create_model_import(
    body: CreateImport, caller: PrincipalDep, imports: ImportsDep, resources: ResourcesDep
) -> ImportObject:
    """Make a model of an adapter that was trained elsewhere."""
    operation = imports.create(caller, body)
    resources.ringer.wish()
    return ImportObject.from_domain(operation)


@router.get("")
def list_model_imports(
    caller: PrincipalDep,
    imports: ImportsDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> ImportList:
    """List the project's imports, newest first."""
    return ImportList.from_page(imports.list(caller, after=after, limit=limit))


@router.get("/{import_id}")
def retrieve_model_import(
    import_id: str, caller: PrincipalDep, imports: ImportsDep
) -> ImportObject:
    """How far an import is, and what came of it."""
    return ImportObject.from_domain(imports.get(caller, import_id))


@router.post("/{import_id}/cancel")
def cancel_model_import(import_id: str, caller: PrincipalDep, imports: ImportsDep) -> ImportObject:
    """Stop an import; no model appears."""
    return ImportObject.from_domain(imports.cancel(caller, import_id))
