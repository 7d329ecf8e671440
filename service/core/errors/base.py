"""One class a status of HTTP; the rest of the tree hangs below them."""

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


class MethodNotAllowed(ServiceError):
    """The path exists, the method does not."""

    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class Conflict(ServiceError):
    """A state conflict that repeating cannot mend."""

    status, type, code = 409, "invalid_request_error", "conflict"
    headers: ClassVar[dict[str, str]] = {"x-should-retry": "false"}


class PayloadTooLarge(ServiceError):
    """The body is over the limit."""

    status, type, code = 413, "invalid_request_error", "payload_too_large"


class TooManyRequests(ServiceError):
    """Over a limit; the same request may succeed later."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"
    headers: ClassVar[dict[str, str]] = {"retry-after": "1"}


class Unavailable(ServiceError):
    """A part we depend on is away; the same request may succeed in a moment."""

    status, type, code = 503, "server_error", "unavailable"
    headers: ClassVar[dict[str, str]] = {"retry-after": "2"}


class ConfigurationError(ServiceError):
    """A setting, port or folder that keeps a process from starting; the message says the mend."""

    code = "configuration_error"
