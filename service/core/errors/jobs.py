"""Creating, moving and finding jobs, batches and their like."""

from service.core.errors.base import InvalidRequest, NotFound, Unavailable


class JobNotCancellable(InvalidRequest):
    """The job already finished. 400, not 409: OpenAI SDKs retry a 409."""

    code = "job_not_cancellable"


class JobNotPausable(InvalidRequest):
    """The job's files are being validated, or it is paused or finished."""

    code = "job_not_pausable"


class JobNotResumable(InvalidRequest):
    """The job is not paused."""

    code = "job_not_resumable"


class InvalidTransition(InvalidRequest):
    """A status move that the life cycle does not know."""

    code = "invalid_transition"


class InvalidTrainingFile(InvalidRequest):
    """The data set cannot be trained on; the message names the line and the mend."""

    code = "invalid_training_file"


class InvalidValidationFile(InvalidTrainingFile):
    """The same for the validation file."""

    code = "invalid_validation_file"


class InvalidHyperparameter(InvalidRequest):
    """A hyperparameter outside its bounds or in conflict with another."""

    code = "invalid_hyperparameter"


class GraderUnavailable(InvalidRequest):
    """A grader that this installation cannot run, however well it is written."""

    code = "grader_unavailable"


class GraderUnreachable(Unavailable):
    """A grader that gives no rewards for now, so that nothing can be learned from answers."""

    code = "grader_unreachable"


class BatchNotCancellable(InvalidRequest):
    """The batch already ended. 400, not 409: OpenAI SDKs retry a 409."""

    code = "batch_not_cancellable"


class BatchNotFound(NotFound):
    """No such batch in the caller's project."""

    code = "batch_not_found"


class JobNotFound(NotFound):
    """No such fine-tuning job in the caller's project."""

    code = "job_not_found"


class RecordNotFound(NotFound):
    """A job has no such record, or not yet."""

    code = "record_not_found"


class PermissionNotFound(NotFound):
    """No such permission for this checkpoint."""

    code = "permission_not_found"


class CompletionNotFound(NotFound):
    """No such stored completion in the caller's project."""

    code = "completion_not_found"
