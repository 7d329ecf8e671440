"""Wire shape of a long operation; each kind adds what it is about and what comes of it."""

from typing import Any

from service.api.wire import Answer
from service.core.domain.operations import Operation


class OperationError(Answer):
    """Why it failed."""

    code: str
    message: str
    param: str | None


class OperationObject(Answer):
    """Asked for at once, done in the background: look at it until `status` is one of succeeded,
    failed, cancelled."""

    id: str
    object: str
    status: str
    progress: float
    """From 0 to 1."""
    error: OperationError | None
    created_at: int
    finished_at: int | None


def operation_fields(operation: Operation) -> dict[str, Any]:
    """What every kind says."""
    error = operation.error
    return {
        "id": operation.id,
        "object": operation.kind,
        "status": operation.status,
        "progress": operation.progress,
        "error": None
        if error is None
        else OperationError(code=error.code, message=error.message, param=error.param),
        "created_at": int(operation.created_at),
        "finished_at": None if operation.finished_at is None else int(operation.finished_at),
    }
