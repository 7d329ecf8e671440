"""/v1/integrations/wandb"""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.integrations.schemas import (
    IntegrationDeleted,
    IntegrationObject,
    PutIntegration,
)
from service.api.integrations.service import IntegrationService

router = APIRouter(prefix="/v1/integrations/wandb", tags=["integrations"])


async def _service(resources: ResourcesDep) -> IntegrationService:
    return IntegrationService(resources.database, resources.cipher)


IntegrationsDep = Annotated[IntegrationService, Depends(_service)]


@router.post("")
def put_wandb_integration(
    body: PutIntegration, caller: PrincipalDep, integrations: IntegrationsDep
) -> IntegrationObject:
    """Store the project's W&B API key, or replace it; it is not shown again."""
    return IntegrationObject.from_domain(integrations.put(caller, "wandb", body))


@router.get("")
def retrieve_wandb_integration(
    caller: PrincipalDep, integrations: IntegrationsDep
) -> IntegrationObject:
    """Say whether there is a key."""
    return IntegrationObject.from_domain(integrations.get(caller, "wandb"))


@router.delete("")
def delete_wandb_integration(
    caller: PrincipalDep, integrations: IntegrationsDep
) -> IntegrationDeleted:
    """Forget the key."""
    integrations.delete(caller, "wandb")
    return IntegrationDeleted(type="wandb")
