"""How an attempt at a batch may end other than well; see `outcomes`."""

from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.batches import BatchProblem, BatchStatus
from service.core.domain.jobs import JobError
from service.core.domain.work import Claim
from service.core.repositories.batches import BatchRepository
from service.core.repositories.work import WorkRepository


def give_back(connection: Connection, scope: Scope, claim: Claim, *, pause_seconds: float) -> None:
    """To the queue again; the answers that are stored stay."""
    if not _drop_if_over(connection, scope, claim):
        WorkRepository(connection).release(claim, failed=False, pause_seconds=pause_seconds)


def lose(
    connection: Connection, scope: Scope, claim: Claim, *, limit: int, last_error: JobError
) -> None:
    """To the queue again, as a failure; the batch fails at `limit` in a row."""
    if _drop_if_over(connection, scope, claim):
        return
    if WorkRepository(connection).release(claim, failed=True) >= limit:
        fail(connection, scope, claim, last_error)


def fail(connection: Connection, scope: Scope, claim: Claim, error: JobError) -> None:
    """The batch has failed for good."""
    if _drop_if_over(connection, scope, claim):
        return
    problem = BatchProblem(error.code, error.message, error.param)
    batches = BatchRepository(connection, scope)
    batches.move(claim.subject_id, BatchStatus.FAILED, problems=[problem])
    WorkRepository(connection).remove(claim.kind, claim.subject_id)


def _drop_if_over(connection: Connection, scope: Scope, claim: Claim) -> bool:
    over = BatchRepository(connection, scope).get(claim.subject_id).is_over
    if over:
        WorkRepository(connection).remove(claim.kind, claim.subject_id)
    return over
