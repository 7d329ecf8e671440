"""Training over HTTP, the engine's state, and the health check."""

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, Query
from starlette.requests import HTTPConnection

from service.core.engine_protocol import (
    CommandBatch,
    CommandsAccepted,
    EngineState,
    OpenSession,
    ResultBatch,
    SessionOpened,
)
from service.engine.interface import EngineCore

_MAX_WAIT_SECONDS = 30.0
_MAX_POLLS = 256

router = APIRouter()


def engine_core(connection: HTTPConnection) -> EngineCore:
    core: EngineCore = connection.app.state.core
    return core


def poll_limiter(connection: HTTPConnection) -> CapacityLimiter:
    """Threads for long polls alone: forty waiting sessions would otherwise take every thread of
    the pool that appends commands. One poll per session waits, so 256 is never reached."""
    state = connection.app.state
    if not hasattr(state, "poll_limiter"):
        state.poll_limiter = CapacityLimiter(_MAX_POLLS)
    limiter: CapacityLimiter = state.poll_limiter
    return limiter


CoreDep = Annotated[EngineCore, Depends(engine_core)]
PollLimiterDep = Annotated[CapacityLimiter, Depends(poll_limiter)]


@router.get("/healthz")
def health(core: CoreDep) -> dict[str, str]:
    """503 once the step loop has failed: its state cannot be told then."""
    core.state()
    return {"status": "ok"}


@router.get("/state")
def state(core: CoreDep) -> EngineState:
    return core.state()


@router.post("/sessions")
def open_session(request: OpenSession, core: CoreDep) -> SessionOpened:
    return core.open_session(request)


@router.post("/sessions/{session}/commands")
def append_commands(session: str, batch: CommandBatch, core: CoreDep) -> CommandsAccepted:
    return core.append_commands(session, batch)


@router.get("/sessions/{session}/results")
async def results(
    session: str,
    core: CoreDep,
    limiter: PollLimiterDep,
    after: Annotated[int, Query(ge=0)] = 0,
    wait: Annotated[float, Query(ge=0, le=_MAX_WAIT_SECONDS)] = 0,
) -> ResultBatch:
    """Answer at the first result past `after`, or empty once `wait` seconds are over."""
    return await to_thread.run_sync(core.wait_results, session, after, wait, limiter=limiter)


@router.delete("/sessions/{session}", status_code=204)
def close_session(session: str, core: CoreDep) -> None:
    core.close_session(session)
