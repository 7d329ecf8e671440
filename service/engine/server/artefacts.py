"""Imports and exports of models over HTTP."""

from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends
from starlette.requests import HTTPConnection

from service.core.engine_protocol import (
    BaseShapes,
    ExportRequest,
    ExportState,
    Probed,
    ProbeRequest,
)
from service.engine.server.sessions import CoreDep

_MAX_PROBES = 4

router = APIRouter()


def probe_limiter(connection: HTTPConnection) -> CapacityLimiter:
    """Threads for probes alone, which wait for an adapter and for the step loop."""
    state = connection.app.state
    if not hasattr(state, "probe_limiter"):
        state.probe_limiter = CapacityLimiter(_MAX_PROBES)
    limiter: CapacityLimiter = state.probe_limiter
    return limiter


@router.get("/bases/{base:path}/shapes")
def shapes(base: str, core: CoreDep) -> BaseShapes:
    return core.artefacts.shapes(base)


@router.post("/probe")
async def probe(
    request: ProbeRequest,
    core: CoreDep,
    limiter: Annotated[CapacityLimiter, Depends(probe_limiter)],
) -> Probed:
    return await to_thread.run_sync(core.artefacts.probe, request, limiter=limiter)


@router.post("/exports")
def start_export(request: ExportRequest, core: CoreDep) -> ExportState:
    return core.artefacts.start_export(request)


@router.get("/exports/{export}")
def export_state(export: str, core: CoreDep) -> ExportState:
    return core.artefacts.export_state(export)


@router.delete("/exports/{export}", status_code=204)
def cancel_export(export: str, core: CoreDep) -> None:
    core.artefacts.cancel_export(export)
