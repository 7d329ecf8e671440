"""Cancelling a long operation."""

from service.core.database import Connection
from service.core.domain.access import Scope
from service.core.domain.operations import Operation, OperationStatus
from service.core.domain.work import WorkKind
from service.core.errors import OperationNotCancellable
from service.core.repositories.operations import OperationRepository
from service.core.repositories.work import WorkRepository


def cancel(connection: Connection, scope: Scope, operation: Operation, work: WorkKind) -> Operation:
    """The attempt that is at work finds itself fenced, and nothing of it appears. Asking again
    changes nothing. Raises OperationNotCancellable."""
    if operation.status is OperationStatus.CANCELLED:
        return operation
    if operation.is_over:
        raise OperationNotCancellable(f"{operation.id} has {operation.status} already.", param="id")
    operations = OperationRepository(connection, scope)
    operations.cancel(operation.id)
    WorkRepository(connection).remove(work, operation.id)
    return operations.get(operation.id)
