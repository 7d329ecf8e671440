"""/v1/fine_tuning/estimate"""

from fastapi import APIRouter

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.estimates.requests import EstimateJob
from service.api.estimates.schemas import Estimate
from service.api.estimates.service import EstimateService

router = APIRouter(prefix="/v1/fine_tuning", tags=["fine-tuning"])


@router.post("/estimate")
def estimate_job(body: EstimateJob, caller: PrincipalDep, resources: ResourcesDep) -> Estimate:
    """Tell what a job with this body would take, and create nothing."""
    service = EstimateService(
        resources.database, resources.store, resources.codecs, resources.settings
    )
    return service.estimate(caller, body)
