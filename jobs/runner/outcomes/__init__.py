"""How an attempt may end other than well: for the attempt itself and for the reconciler.

What each kind of work does then is an `Outcomes` of its own.
"""

from collections.abc import Mapping

from jobs.runner.outcomes.base import INFRASTRUCTURE_FAILURES, UNEXPECTED_FAILURES, Outcomes
from jobs.runner.outcomes.batches import BatchOutcomes
from jobs.runner.outcomes.jobs import JobOutcomes
from jobs.runner.outcomes.operations import OperationOutcomes
from jobs.runner.outcomes.webhooks import WebhookOutcomes
from service.core.domain.work import WorkKind

__all__ = ["INFRASTRUCTURE_FAILURES", "UNEXPECTED_FAILURES", "Outcomes", "outcomes_of"]

_BY_KIND: Mapping[WorkKind, Outcomes] = {
    WorkKind.VALIDATION: JobOutcomes(),
    WorkKind.TRAINING: JobOutcomes(),
    WorkKind.BATCH: BatchOutcomes(),
    WorkKind.WEBHOOK: WebhookOutcomes(),
    WorkKind.IMPORT: OperationOutcomes(),
    WorkKind.EXPORT: OperationOutcomes(),
    WorkKind.FILE_REPORT: OperationOutcomes(),
    WorkKind.VERIFICATION: OperationOutcomes(),
}


def outcomes_of(kind: WorkKind) -> Outcomes:
    """What becomes of work of this kind."""
    return _BY_KIND[kind]
