"""/v1/fine_tuning/alpha/graders"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api.chat.connection import unless_disconnected
from service.api.chat.routes import ChatDep
from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.embeddings.routes import EmbeddingsDep
from service.api.graders.schemas import GraderRun, RunGrader, ValidatedGrader, ValidateGrader
from service.api.graders.service import GraderService

router = APIRouter(prefix="/v1/fine_tuning/alpha/graders", tags=["graders"])


async def _service(
    resources: ResourcesDep, chat: ChatDep, embeddings: EmbeddingsDep
) -> GraderService:
    return GraderService(
        resources.database,
        chat,
        embeddings,
        python=resources.python_code,
        endpoint=resources.grader_endpoint,
    )


GradersDep = Annotated[GraderService, Depends(_service)]


@router.post("/run")
async def run_grader(
    request: Request, body: RunGrader, caller: PrincipalDep, graders: GradersDep
) -> GraderRun:
    """Grade one sample."""
    return await unless_disconnected(request, graders.run(caller, body))


@router.post("/validate")
async def validate_grader(
    body: ValidateGrader, caller: PrincipalDep, graders: GradersDep
) -> ValidatedGrader:
    """Check a grader without a sample."""
    await graders.validate(caller, body.grader)
    return ValidatedGrader.from_spec(body.grader)
