"""/v1/models. Names may hold slashes, so `{model:path}`."""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.models.schemas import Model, ModelDeleted, ModelList
from service.api.models.service import ModelService

router = APIRouter(tags=["models"])


async def _service(resources: ResourcesDep) -> ModelService:
    return ModelService(resources.database, resources.store)


ModelsDep = Annotated[ModelService, Depends(_service)]


@router.get("/v1/models")
def list_models(caller: PrincipalDep, models: ModelsDep) -> ModelList:
    """List every model the caller can use."""
    return ModelList(data=models.list(caller))


@router.get("/v1/models/{model:path}")
def retrieve_model(model: str, caller: PrincipalDep, models: ModelsDep) -> Model:
    """Describe a base, a tuned model or a checkpoint."""
    return models.get(caller, model)


@router.delete("/v1/models/{model:path}")
def delete_model(model: str, caller: PrincipalDep, models: ModelsDep) -> ModelDeleted:
    """Delete a tuned model and its checkpoints."""
    models.delete(caller, model)
    return ModelDeleted(id=model)
