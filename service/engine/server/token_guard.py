"""Bearer token on everything but the health check, HTTP and WebSocket alike."""

import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.core.errors import Unauthorized
from service.engine.server.error_handlers import error_response


class TokenGuard:
    """ASGI middleware; a WebSocket is refused before it is accepted."""

    def __init__(self, app: ASGIApp, *, token: str, open_paths: frozenset[str]) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_allowed(scope):
            await self._app(scope, receive, send)
        else:
            refusal = error_response(Unauthorized("the internal token is missing or wrong"))
            await refusal(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        if scope["type"] == "lifespan" or scope["path"] in self._open_paths:
            return True
        given = Headers(scope=scope).get("authorization", "")
        return hmac.compare_digest(given.encode(), self._expected)
