"""/v1/fine_tuning/jobs/{id}/verifications: an extension to OpenAI's API."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.verifications.requests import CreateVerification
from service.api.verifications.schemas import VerificationList, VerificationObject
from service.api.verifications.service import VerificationService

router = APIRouter(
    prefix="/v1/fine_tuning/jobs/{fine_tuning_job_id}/verifications", tags=["fine-tuning"]
)


async def _service(resources: ResourcesDep) -> VerificationService:
    return VerificationService(resources.database, pool=resources.settings.pool)


VerificationsDep = Annotated[VerificationService, Depends(_service)]


@router.post("")
def create_job_verification(
    fine_tuning_job_id: str,
    body: CreateVerification,
    caller: PrincipalDep,
    verifications: VerificationsDep,
    resources: ResourcesDep,
) -> VerificationObject:
    """Replay a finished job's first steps, and compare them with what it told and stored."""
    operation = verifications.create(caller, fine_tuning_job_id, body)
    resources.ringer.wish()
    return VerificationObject.from_domain(operation)


@router.get("")
def list_job_verifications(
    fine_tuning_job_id: str,
    caller: PrincipalDep,
    verifications: VerificationsDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> VerificationList:
    """List a job's verifications, newest first."""
    page = verifications.list(caller, fine_tuning_job_id, after=after, limit=limit)
    return VerificationList.from_page(page)


@router.get("/{verification_id}")
def retrieve_job_verification(
    fine_tuning_job_id: str,
    verification_id: str,
    caller: PrincipalDep,
    verifications: VerificationsDep,
) -> VerificationObject:
    """How far a verification is, and what it says."""
    operation = verifications.get(caller, fine_tuning_job_id, verification_id)
    return VerificationObject.from_domain(operation)


@router.post("/{verification_id}/cancel")
def cancel_job_verification(
    fine_tuning_job_id: str,
    verification_id: str,
    caller: PrincipalDep,
    verifications: VerificationsDep,
) -> VerificationObject:
    """Stop a verification."""
    operation = verifications.cancel(caller, fine_tuning_job_id, verification_id)
    return VerificationObject.from_domain(operation)
