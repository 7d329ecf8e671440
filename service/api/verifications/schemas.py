"""Wire shapes of verifications."""

from typing import Any, Literal

from service.api.operations.schemas import OperationObject, operation_fields
from service.api.wire import Answer
from service.core.domain.operations import Operation
from service.core.repositories.paging import Page


class VerifiedStep(Answer):
    """What a step lost, or was rewarded with, then and now."""

    step: int
    original: float | None
    replayed: float | None


class VerifiedFile(Answer):
    """sha256 of a file of weights, then and now."""

    name: str
    original: str
    replayed: str | None


class VerifiedWeights(Answer):
    """Of the last checkpoint within the replayed steps."""

    step: int
    is_equal: bool
    files: list[VerifiedFile]


class VerifiedMember(Answer):
    """A member of the receipt, and what was found instead."""

    name: str
    receipt: Any
    found: Any


class VerificationResult(Answer):
    """What the comparison says."""

    verdict: Literal["equal", "within_tolerance", "different"]
    unmixed: bool
    """Whether the job shared no pass with another, so that the same bytes can be expected."""
    steps: int
    """Replayed; 0 where the receipt is contradicted and nothing was."""
    metric: str | None
    """What `losses` are: train_loss, or train_reward_mean of methods that learn from rewards."""
    tolerance: float | None
    """Largest relative difference of a loss that is within_tolerance."""
    largest_difference: float | None
    losses: list[VerifiedStep]
    weights: VerifiedWeights | None
    """Null without a checkpoint within the steps."""
    differences: list[VerifiedMember]
    """Members of the receipt that the job's record, its metrics or its data contradict."""
    environment: list[VerifiedMember]
    """Device and versions that are others now; they may be why results differ."""


class VerificationObject(OperationObject):
    """A job's first steps, to be done once more and compared."""

    object: Literal["fine_tuning.job.verification"] = "fine_tuning.job.verification"
    job_id: str
    result: VerificationResult | None

    @classmethod
    def from_domain(cls, operation: Operation) -> "VerificationObject":
        result = operation.result
        return cls(
            **operation_fields(operation),
            job_id=operation.subject,
            result=None if result is None else VerificationResult(**result),
        )


class VerificationList(Answer):
    """A page of verifications."""

    object: Literal["list"] = "list"
    data: list[VerificationObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[Operation]) -> "VerificationList":
        return cls(
            data=[VerificationObject.from_domain(operation) for operation in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )
