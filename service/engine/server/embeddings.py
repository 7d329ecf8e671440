"""Embeddings over HTTP."""

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from service.core.engine_protocol import Embedded, EmbedRequest
from service.engine.server.sessions import CoreDep

_MAX_CALLS = 64

router = APIRouter()


def embed_limiter(connection: HTTPConnection) -> CapacityLimiter:
    """Threads for embeddings alone: callers that wait must not take those of other calls."""
    state = connection.app.state
    if not hasattr(state, "embed_limiter"):
        state.embed_limiter = CapacityLimiter(_MAX_CALLS)
    limiter: CapacityLimiter = state.embed_limiter
    return limiter


@router.post("/embed")
async def embed(
    request: EmbedRequest,
    core: CoreDep,
    limiter: Annotated[CapacityLimiter, Depends(embed_limiter)],
) -> Embedded:
    """One vector a row."""
    return await to_thread.run_sync(core.embed, request, limiter=limiter)
