"""Long operations: imports and exports of models."""

from service.core.errors.base import InvalidRequest, NotFound


class OperationNotFound(NotFound):
    """No such operation in the caller's project."""

    code = "operation_not_found"


class OperationNotCancellable(InvalidRequest):
    """The operation has ended already."""

    code = "operation_not_cancellable"


class InvalidAdapter(InvalidRequest):
    """What was uploaded is no adapter that this base can serve; the message names the fault."""

    code = "invalid_adapter"


class ExportRefused(InvalidRequest):
    """An export that would not compute what the served model computes, or has no such format."""

    code = "export_refused"
