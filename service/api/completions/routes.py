"""/v1/completions"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api.chat.connection import EventStream, unless_disconnected
from service.api.completions.planning import CompletionPlanner
from service.api.completions.requests import CreateCompletion
from service.api.completions.schemas import Completion
from service.api.completions.service import CompletionService
from service.api.dependencies import PrincipalDep, ResourcesDep, require_tokens
from service.api.token_meter import TokenMeter
from service.api.wire import EVENT_STREAM

router = APIRouter(tags=["completions"])


async def _service(resources: ResourcesDep) -> CompletionService:
    planner = CompletionPlanner(resources.database, resources.codecs)
    return CompletionService(planner, resources.generation, TokenMeter(resources.rate_limits))


CompletionsDep = Annotated[CompletionService, Depends(_service)]


@router.post(
    "/v1/completions",
    response_model=Completion,
    dependencies=[Depends(require_tokens)],
    responses=EVENT_STREAM,
)
async def create_completion(
    request: Request, body: CreateCompletion, caller: PrincipalDep, completions: CompletionsDep
) -> Completion | EventStream:
    """Continue a text, whole or streamed."""
    if body.stream:
        return EventStream(await unless_disconnected(request, completions.stream(caller, body)))
    return await unless_disconnected(request, completions.complete(caller, body))
