"""/v1/classify"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api.chat.connection import unless_disconnected
from service.api.classify.planning import ClassifyPlanner
from service.api.classify.requests import Classify
from service.api.classify.schemas import ClassificationList
from service.api.classify.service import ClassifyService
from service.api.dependencies import PrincipalDep, ResourcesDep, require_tokens

router = APIRouter(tags=["classify"])


async def _service(resources: ResourcesDep) -> ClassifyService:
    planner = ClassifyPlanner(resources.database, resources.codecs, resources.embedding_codecs)
    return ClassifyService(planner, resources.classification, resources.rate_limits)


ClassifyDep = Annotated[ClassifyService, Depends(_service)]


@router.post("/v1/classify", dependencies=[Depends(require_tokens)])
async def classify(
    request: Request, body: Classify, caller: PrincipalDep, service: ClassifyDep
) -> ClassificationList:
    """Label or score texts or conversations with a model that was trained to."""
    return await unless_disconnected(request, service.classify(caller, body))
