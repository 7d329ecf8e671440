"""/healthz and /readyz: open to anyone, for load balancers and supervisors."""

from typing import Literal

from fastapi import APIRouter, Response

from service.api.dependencies import ResourcesDep
from service.api.wire import Answer

router = APIRouter(tags=["health"])


class Health(Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ReadinessReport(Answer):
    """`components`: `ready`, or the reason why not."""

    status: Literal["ready", "starting", "degraded", "unavailable"]
    components: dict[str, str]


@router.get("/healthz")
async def healthz() -> Health:
    """Whether this process lives."""
    return Health()


@router.get("/readyz", responses={503: {"model": ReadinessReport}})
async def readyz(resources: ResourcesDep, response: Response) -> ReadinessReport:
    """Whether the whole service has come up, and its database answers."""
    report = await resources.readiness.report()
    if not report.serves:
        response.status_code = 503
    return ReadinessReport(status=report.status, components=report.components)
