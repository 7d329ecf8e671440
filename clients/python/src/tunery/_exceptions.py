"""Everything this package raises on purpose.

TuneryError
├── ConfigurationError                 address or key missing, before any request
├── WaitTimeoutError                   a job outlived the caller's patience
└── APIError                           message, code, param, request_id
    ├── APIConnectionError             no answer
    │   └── APITimeoutError
    ├── APIResponseError               an answer that is not of the promised form
    ├── StreamError                    the server broke off a stream and said why
    └── APIStatusError                 status_code
        ├── BadRequestError (400) · AuthenticationError (401) · PermissionDeniedError (403)
        ├── NotFoundError (404) · ConflictError (409) · PayloadTooLargeError (413)
        ├── RateLimitError (429)
        └── ServerError (500 and above)
"""

from collections.abc import Mapping
from functools import partial

import httpx2


class TuneryError(Exception):
    """Root of the tree."""


class ConfigurationError(TuneryError):
    """The client does not know where to send requests, or with which key."""


class WaitTimeoutError(TuneryError, TimeoutError):
    """`wait` gave up; the job goes on without it."""


class APIError(TuneryError):
    """A request that brought no usable answer.

    `code` is what a program acts on, `param` names the field at fault, and `request_id` finds the
    request in the server's log; each is None when the server said nothing of it.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.param = param
        self.request_id = request_id

    def __reduce__(self) -> tuple[object, ...]:
        fields = {name: value for name, value in vars(self).items() if name != "message"}
        return partial(type(self), **fields), (self.message,)


class APIConnectionError(APIError):
    """The server could not be reached, or hung up before it had answered."""


class APITimeoutError(APIConnectionError):
    """The server took longer than `timeout`."""


class APIResponseError(APIError):
    """The answer is not of the form that the API promises."""


class StreamError(APIError):
    """The server broke off a stream that had begun, and said why."""


class APIStatusError(APIError):
    """The server refused the request or failed at it."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int,
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, param=param, request_id=request_id)
        self.status_code = status_code


class BadRequestError(APIStatusError):
    """400: the request is wrong, and `param` usually names where."""


class AuthenticationError(APIStatusError):
    """401: no key, or one that the server does not accept."""


class PermissionDeniedError(APIStatusError):
    """403: the key lacks the scope for this operation."""


class NotFoundError(APIStatusError):
    """404: missing, or somebody else's."""


class ConflictError(APIStatusError):
    """409: the request contradicts the present state."""


class PayloadTooLargeError(APIStatusError):
    """413: the body is over the server's limit."""


class RateLimitError(APIStatusError):
    """429: over a limit; the same request may succeed later."""


class ServerError(APIStatusError):
    """500 and above: the server failed."""


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: PayloadTooLargeError,
    429: RateLimitError,
}


def status_error(response: httpx2.Response) -> APIStatusError:
    """The exception for an answer that is no success; its body must have been read."""
    status = response.status_code
    fallback = ServerError if status >= 500 else APIStatusError
    members = error_members(_json_or_none(response))
    return _BY_STATUS.get(status, fallback)(
        members.get("message") or f"HTTP {status} without an explanation",
        status_code=status,
        code=members.get("code"),
        param=members.get("param"),
        request_id=response.headers.get("x-request-id"),
    )


def error_members(body: object) -> dict[str, str]:
    """`message`, `code` and `param` of an error envelope, as far as they are there."""
    envelope = body.get("error") if isinstance(body, dict) else None
    if not isinstance(envelope, dict):
        return {}
    return {
        name: envelope[name]
        for name in ("message", "code", "param")
        if isinstance(envelope.get(name), str)
    }


def connection_error(error: httpx2.RequestError) -> APIConnectionError:
    """The exception for a request that brought no answer."""
    if isinstance(error, httpx2.TimeoutException):
        return APITimeoutError(f"{_server_of(error)} did not answer in time")
    reason = str(error) or type(error).__name__
    return APIConnectionError(f"no connection to {_server_of(error)}: {reason}")


def _server_of(error: httpx2.RequestError) -> str:
    try:
        url = error.request.url
    except RuntimeError:  # raised outside any request
        return "the server"
    return f"{url.scheme}://{url.netloc.decode()}"


def _json_or_none(response: httpx2.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None
