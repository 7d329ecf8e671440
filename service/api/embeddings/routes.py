"""/v1/embeddings"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api.chat.connection import unless_disconnected
from service.api.dependencies import PrincipalDep, ResourcesDep, require_tokens
from service.api.embeddings.requests import CreateEmbeddings
from service.api.embeddings.schemas import EmbeddingList
from service.api.embeddings.service import EmbeddingService
from service.api.token_meter import TokenMeter

router = APIRouter(tags=["embeddings"])


async def _service(resources: ResourcesDep) -> EmbeddingService:
    return EmbeddingService(
        resources.database,
        resources.embedding_codecs,
        resources.embedding,
        TokenMeter(resources.rate_limits),
    )


EmbeddingsDep = Annotated[EmbeddingService, Depends(_service)]


@router.post("/v1/embeddings", dependencies=[Depends(require_tokens)])
async def create_embeddings(
    request: Request, body: CreateEmbeddings, caller: PrincipalDep, embeddings: EmbeddingsDep
) -> EmbeddingList:
    """Turn texts into vectors."""
    return await unless_disconnected(request, embeddings.create(caller, body))
