"""What is wrong with a request, whatever it asks for."""

from typing import ClassVar

from service.core.errors.base import Conflict, InvalidRequest, NotFound, TooManyRequests


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


class LimitReached(InvalidRequest):
    """The project has as many of these as it may; something has to go first."""

    code = "limit_reached"


class EncryptionUnavailable(InvalidRequest):
    """A secret cannot be kept or read; 400, since only the operator can mend it."""

    code = "encryption_unavailable"


class InvalidIdempotencyKey(InvalidRequest):
    """The header `Idempotency-Key` is empty or too long."""

    code = "invalid_idempotency_key"


class IdempotencyKeyReused(InvalidRequest):
    """The key belongs to an earlier request with other parameters."""

    code = "idempotency_key_reused"


class IdempotencyKeyInUse(Conflict):
    """The first request with this key is still being answered."""

    code = "idempotency_key_in_use"
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class RateLimitExceeded(TooManyRequests):
    """The project has used up its requests or tokens of this minute."""

    code = "rate_limit_exceeded"


class JobQuotaExceeded(TooManyRequests):
    """As many jobs of the project wait as may; repeating soon does not help."""

    code = "job_quota_exceeded"
    headers: ClassVar[dict[str, str]] = {"x-should-retry": "false"}


class StorageQuotaExceeded(InvalidRequest):
    """The project's files would have more bytes than they may."""

    code = "storage_quota_exceeded"


class ChatTemplateError(InvalidRequest):
    """The base's chat template refuses these messages."""

    code = "chat_template_error"


class TemplateNotPrefixStable(ChatTemplateError):
    """Rendering fewer messages is not a prefix of rendering more, so loss spans are undefined."""

    code = "chat_template_not_prefix_stable"


class ModelNotFound(NotFound):
    """No base, tuned model or checkpoint of this name is visible to the caller."""

    code = "model_not_found"
