"""Pure ASGI middleware around every request: its id, its headers, its size, its log line."""

import logging
import math
import re
import time
from collections.abc import Sequence

import structlog
from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.dependencies import admit_caller
from service.api.error_handlers import UNEXPECTED, error_response
from service.core.errors import PayloadTooLarge
from service.core.ids import new_request_id
from service.core.rate_limits import Standing

logger = logging.getLogger(__name__)

_QUIET_PATHS = ("/healthz", "/readyz", "/internal/")


class RequestContext:
    """Gives a request its id, answers bugs with a 500, and writes one line about it.

    Outermost, so that refusals of the layers within carry the headers too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        structlog.contextvars.bind_contextvars(request_id=(request_id := new_request_id()))
        exchange = _Exchange(scope, send, request_id)
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            logger.debug("the client left")
        except Exception:
            logger.exception("%s %s raised", scope["method"], scope["path"])
            if exchange.status is not None:
                raise  # too late for an answer; the server closes the connection
            await error_response(UNEXPECTED)(scope, receive, exchange.send)
        finally:
            exchange.log()
            structlog.contextvars.unbind_contextvars("request_id")


class _Exchange:
    """One request and what has been answered to it."""

    def __init__(self, scope: Scope, send: Send, request_id: str) -> None:
        self._scope = scope
        self._send = send
        self._request_id = request_id
        self._started = time.perf_counter()
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            headers["openai-version"] = "2020-10-01"
            headers["openai-processing-ms"] = str(self._elapsed_ms())
            state = self._scope.get("state", {})
            if "rate_limits" not in state and self._scope["path"].startswith("/v1/"):
                await run_sync(admit_caller, self._scope)
            if "organization" in state:
                headers["openai-organization"] = state["organization"]
            if "rate_limits" in state:
                headers.update(rate_limit_headers(state["rate_limits"], status=self.status))
        await self._send(message)

    def log(self) -> None:
        path = self._scope["path"]
        level = logging.DEBUG if path.startswith(_QUIET_PATHS) else logging.INFO
        method, elapsed = self._scope["method"], self._elapsed_ms()
        logger.log(level, "%s %s → %s in %d ms", method, path, self.status, elapsed)

    def _elapsed_ms(self) -> int:
        return round((time.perf_counter() - self._started) * 1000)


def rate_limit_headers(standing: Standing, *, status: int) -> dict[str, str]:
    """Limits, what is left and until when; and after a refusal, how long to wait."""
    headers: dict[str, str] = {}
    for name, share in (("requests", standing.requests), ("tokens", standing.tokens)):
        headers[f"x-ratelimit-limit-{name}"] = str(share.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(share.remaining)
        headers[f"x-ratelimit-reset-{name}"] = _duration(share.reset_seconds)
        if status == 429 and share.exceeded:
            headers["retry-after"] = str(math.ceil(share.reset_seconds))
    return headers


def _duration(seconds: float) -> str:
    """As OpenAI writes it: `120ms`, `1s`, `1m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


class BodyLimit:
    """Reads a body before the application does, and refuses one over the limit.

    Paths that match one of `unlimited` read their own body and bound it themselves.
    """

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, unlimited: Sequence[re.Pattern[str]]
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._unlimited = tuple(unlimited)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_unlimited(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(Headers(scope=scope), receive)
        except PayloadTooLarge as error:
            await error_response(error)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, replay_body(body, receive), send)

    def _is_unlimited(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._unlimited)

    async def _read(self, headers: Headers, receive: Receive) -> bytes | None:
        """None when the client left. Raises PayloadTooLarge."""
        declared = headers.get("content-length", "0")
        self._check(int(declared) if declared.isdecimal() else 0)
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            self._check(len(body))
            if not message.get("more_body", False):
                return bytes(body)

    def _check(self, size: int) -> None:
        if size > self._max_bytes:
            raise PayloadTooLarge(f"The body is larger than the limit of {self._max_bytes} bytes.")


def replay_body(body: bytes, receive: Receive) -> Receive:
    """The body again, then whatever the server says next: that the client left."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return pending.pop() if pending else await receive()

    return replayed
