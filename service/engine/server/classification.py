"""Served heads over HTTP."""

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from service.core.engine_protocol import Classified, ClassifyRequest
from service.engine.server.sessions import CoreDep

_MAX_CALLS = 64

router = APIRouter()


def classify_limiter(connection: HTTPConnection) -> CapacityLimiter:
    """Threads for this call alone: callers that wait must not take those of other calls."""
    state = connection.app.state
    if not hasattr(state, "classify_limiter"):
        state.classify_limiter = CapacityLimiter(_MAX_CALLS)
    limiter: CapacityLimiter = state.classify_limiter
    return limiter


@router.post("/classify")
async def classify(
    request: ClassifyRequest,
    core: CoreDep,
    limiter: Annotated[CapacityLimiter, Depends(classify_limiter)],
) -> Classified:
    """The head's numbers for each row."""
    return await to_thread.run_sync(core.classify, request, limiter=limiter)
