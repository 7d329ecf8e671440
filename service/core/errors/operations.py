"""Long operations: imports and exports of models, verifications of jobs."""

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


class VerificationRefused(InvalidRequest):
    """A job that cannot be replayed; the message says what is gone."""

    code = "verification_refused"


class ExportRefused(InvalidRequest):
    """An export that would not compute what the served model computes, or has no such format."""

    code = "export_refused"
