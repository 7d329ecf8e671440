"""/internal: guarded by the internal token, and no part of the public description."""

from fastapi import APIRouter, Depends

from service.api.dependencies import ResourcesDep, require_internal_token
from service.core.engine_protocol import EngineState
from service.core.errors import InvalidRequest
from service.core.repositories.registry import RegistryRepository

router = APIRouter(
    prefix="/internal", include_in_schema=False, dependencies=[Depends(require_internal_token)]
)


@router.put("/engines/{engine_id}", status_code=204)
def report_engine(engine_id: str, state: EngineState, resources: ResourcesDep) -> None:
    """An engine's own account of itself, every two seconds."""
    if state.id != engine_id:
        raise InvalidRequest("The path names another engine than the body.", param="id")
    with resources.database.transaction() as connection:
        RegistryRepository(connection).report(state)


@router.delete("/engines/{engine_id}", status_code=204)
def forget_engine(engine_id: str, resources: ResourcesDep) -> None:
    """An engine says that it shuts down."""
    with resources.database.transaction() as connection:
        RegistryRepository(connection).forget_engine(engine_id)
