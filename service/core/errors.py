"""Every failure we raise on purpose, as one tree; `service/api/error_handlers.py` alone renders it.

ServiceError
├── InvalidRequest (400)
│   ├── MissingParameter · UnsupportedParameter · ContextLengthExceeded · InvalidCursor
│   ├── JobNotCancellable · JobNotPausable · JobNotResumable · UnknownFile
│   ├── InvalidTrainingFile (InvalidValidationFile) · InvalidHyperparameter · FileInUse
│   ├── GraderUnavailable
│   ├── BatchNotCancellable · UploadNotPending · UploadMismatch · ChecksumMismatch
│   ├── ChatTemplateError · TemplateNotPrefixStable
│   ├── LimitReached · EncryptionUnavailable · WebhookTestFailed
│   └── InvalidIdempotencyKey · IdempotencyKeyReused
├── Unauthorized (401) · Forbidden (403)
├── NotFound (404)
│   └── ModelNotFound · FileNotFound · JobNotFound · PermissionNotFound · SessionNotFound ·
│       WebhookNotFound · CompletionNotFound · UploadNotFound · BatchNotFound
├── Conflict (409): SequenceGap · StaleEpoch · IdempotencyKeyInUse
├── PayloadTooLarge (413)
├── TooManyRequests (429): EngineOverloaded · RateLimitExceeded
├── TrainingFailed: NoTrainableTokens · TrainingDiverged · EngineCrashed · OutOfMemory ·
│   InfrastructureFailed
└── Unavailable (503): EngineUnavailable · DatabaseUnavailable · StorageUnavailable · AdapterCorrupt
AddressRefused, ConfigurationError: never reach a caller of the API

Rules for a new class: one sentence says when it is raised; picklable (`message`, `param` only);
`code` is what a program acts on, the message tells a person what to do next.
"""

from typing import ClassVar


class ServiceError(Exception):
    """Any failure we raise on purpose."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str | None] = "internal_error"
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.param)


def _rebuild(kind: type[ServiceError], message: str, param: str | None) -> ServiceError:
    return kind(message, param=param)


class InvalidRequest(ServiceError):
    """The request is wrong and will stay wrong, so clients must not repeat it."""

    status, type, code = 400, "invalid_request_error", "invalid_value"


class MissingParameter(InvalidRequest):
    """A required parameter is absent."""

    code = "missing_required_parameter"


class UnsupportedParameter(InvalidRequest):
    """A parameter that this server refuses by name instead of ignoring it."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """Prompt and requested tokens do not fit the model's context."""

    code = "context_length_exceeded"


class InvalidCursor(InvalidRequest):
    """`after` names nothing that this list contains."""

    code = "invalid_cursor"


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


class UnknownFile(InvalidRequest):
    """The request refers to a file that the project does not have. 400, as OpenAI answers it: the
    resource that was asked for is not the file."""

    code = "unknown_file"


class FileInUse(InvalidRequest):
    """A file that an unfinished job still reads cannot be deleted."""

    code = "file_in_use"


class BatchNotCancellable(InvalidRequest):
    """The batch already ended. 400, not 409: OpenAI SDKs retry a 409."""

    code = "batch_not_cancellable"


class UploadNotPending(InvalidRequest):
    """The upload was completed or cancelled, or has expired."""

    code = "upload_not_pending"


class UploadMismatch(InvalidRequest):
    """The parts do not amount to what the upload was declared to be."""

    code = "upload_mismatch"


class ChecksumMismatch(InvalidRequest):
    """The content has another MD5 than the caller says."""

    code = "checksum_mismatch"


class GraderUnavailable(InvalidRequest):
    """A grader that this installation cannot run, however well it is written."""

    code = "grader_unavailable"


class ChatTemplateError(InvalidRequest):
    """The base's chat template refuses these messages."""

    code = "chat_template_error"


class TemplateNotPrefixStable(ChatTemplateError):
    """Rendering fewer messages is not a prefix of rendering more, so loss spans are undefined."""

    code = "chat_template_not_prefix_stable"


class LimitReached(InvalidRequest):
    """The project has as many of these as it may; something has to go first."""

    code = "limit_reached"


class EncryptionUnavailable(InvalidRequest):
    """A secret cannot be kept or read; 400, since only the operator can mend it."""

    code = "encryption_unavailable"


class WebhookTestFailed(InvalidRequest):
    """The endpoint gave no HTTP answer to a test event."""

    code = "webhook_test_failed"


class InvalidIdempotencyKey(InvalidRequest):
    """The header `Idempotency-Key` is empty or too long."""

    code = "invalid_idempotency_key"


class IdempotencyKeyReused(InvalidRequest):
    """The key belongs to an earlier request with other parameters."""

    code = "idempotency_key_reused"


class Unauthorized(ServiceError):
    """No key, or one that is unknown, expired or revoked."""

    status, type, code = 401, "invalid_request_error", "invalid_api_key"
    headers: ClassVar[dict[str, str]] = {"www-authenticate": "Bearer"}


class Forbidden(ServiceError):
    """The key is valid but lacks the scope for this operation."""

    status, type, code = 403, "invalid_request_error", "insufficient_permissions"


class NotFound(ServiceError):
    """Missing, or somebody else's: the two are indistinguishable on purpose."""

    status, type, code = 404, "invalid_request_error", "not_found"


class ModelNotFound(NotFound):
    """No base, tuned model or checkpoint of this name is visible to the caller."""

    code = "model_not_found"


class FileNotFound(NotFound):
    """No such file in the caller's project."""

    code = "file_not_found"


class BatchNotFound(NotFound):
    """No such batch in the caller's project."""

    code = "batch_not_found"


class UploadNotFound(NotFound):
    """No such upload in the caller's project."""

    code = "upload_not_found"


class JobNotFound(NotFound):
    """No such fine-tuning job in the caller's project."""

    code = "job_not_found"


class PermissionNotFound(NotFound):
    """No such permission for this checkpoint."""

    code = "permission_not_found"


class SessionNotFound(NotFound):
    """The engine holds no such training session (never opened, closed, or lost in a restart)."""

    code = "session_not_found"


class WebhookNotFound(NotFound):
    """No such webhook endpoint or delivery in the caller's project."""

    code = "webhook_not_found"


class CompletionNotFound(NotFound):
    """No such stored completion in the caller's project."""

    code = "completion_not_found"


class MethodNotAllowed(ServiceError):
    """The path exists, the method does not."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class Conflict(ServiceError):
    """A state conflict that repeating cannot mend."""

    status, type, code = 409, "invalid_request_error", "conflict"
    headers: ClassVar[dict[str, str]] = {"x-should-retry": "false"}


class SequenceGap(Conflict):
    """A training command whose `seq` is not the next one."""

    code = "sequence_gap"


class StaleEpoch(Conflict):
    """A higher epoch of the job has taken over; whoever sees this must stop writing."""

    code = "stale_epoch"


class IdempotencyKeyInUse(Conflict):
    """The first request with this key is still being answered."""

    code = "idempotency_key_in_use"
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class PayloadTooLarge(ServiceError):
    """The body is over the limit."""

    status, type, code = 413, "invalid_request_error", "payload_too_large"


class TooManyRequests(ServiceError):
    """Over a limit; the same request may succeed later."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class EngineOverloaded(TooManyRequests):
    """The engine's waiting line is full."""

    code = "engine_overloaded"


class RateLimitExceeded(TooManyRequests):
    """The project has used up its requests or tokens of this minute."""

    code = "rate_limit_exceeded"


class TrainingFailed(ServiceError):
    """A training attempt that no repetition can save."""

    code = "training_failed"


class NoTrainableTokens(TrainingFailed):
    """The rows leave nothing to learn from."""

    code = "no_trainable_tokens"


class TrainingDiverged(TrainingFailed):
    """Loss or gradient became NaN or infinite."""

    code = "training_diverged"


class EngineCrashed(TrainingFailed):
    """The job brought the engine down twice without progress."""

    code = "engine_crashed"


class OutOfMemory(TrainingFailed):
    """A micro-batch did not fit the device."""

    code = "out_of_memory"


class InfrastructureFailed(TrainingFailed):
    """Attempt after attempt was lost to the machinery, never to the job itself."""

    code = "infrastructure_failed"


class Unavailable(ServiceError):
    """A part we depend on is away; the same request may succeed in a moment."""

    status, type, code = 503, "server_error", "unavailable"
    headers: ClassVar[dict[str, str]] = {"retry-after": "2"}


class EngineUnavailable(Unavailable):
    """No live engine holds this base, or it went away in the middle."""

    code = "engine_unavailable"


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""

    code = "database_unavailable"


class StorageUnavailable(Unavailable):
    """The object store does not answer."""

    code = "storage_unavailable"


class AdapterCorrupt(Unavailable):
    """Stored bytes do not match their digest. The base is never served in the adapter's place."""

    code = "adapter_corrupt"
    headers: ClassVar[dict[str, str]] = {"x-should-retry": "false"}


class AddressRefused(ServiceError):
    """A webhook's host resolves to an address that is not public."""

    code = "address_refused"


class ConfigurationError(ServiceError):
    """A setting, port or folder that keeps a process from starting; the message says the mend."""

    code = "configuration_error"
