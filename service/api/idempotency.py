"""`Idempotency-Key` on POSTs: the first answer under a key is the answer to every repetition.

Kept for a day, per project and address, are answers of success and 500s. A refusal (4xx) or a part
that is away (503) has changed nothing: it is not kept, and the key may be used again. Not kept
either are streamed answers; uploads, whose bodies nobody holds, pay no attention to the header.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as HttpScope

from service.api.dependencies import find_caller
from service.api.error_handlers import UNEXPECTED, error_json, error_response
from service.api.middleware import replay_body
from service.api.resources import Resources
from service.core.domain.access import KeyScope, Principal
from service.core.errors import DatabaseUnavailable, InvalidIdempotencyKey, ServiceError
from service.core.ids import new_request_id
from service.core.repositories.idempotency import IdempotencyRepository, KeyUse, StoredAnswer

logger = logging.getLogger(__name__)

_MAX_KEY_CHARACTERS = 255
_MAX_KEPT_BYTES = 4 * 1024**2
_HOLD_SECONDS = 30.0
_PROLONG_SECONDS = 10.0
_JSON = "application/json"
_NOT_KEPT = "/v1/organization/"
"""Answers there hold keys, which are stored nowhere."""


class IdempotencyKeys:
    """Inside the body's limit, for it reads the body whole.

    Paths that match one of `uploads` are left alone.
    """

    def __init__(self, app: ASGIApp, *, uploads: Sequence[re.Pattern[str]]) -> None:
        self._app = app
        self._uploads = tuple(uploads)

    def _is_upload(self, path: str) -> bool:
        return any(pattern.fullmatch(path) for pattern in self._uploads)

    async def __call__(self, scope: HttpScope, receive: Receive, send: Send) -> None:
        key = _key_of(scope)
        if key is None or self._is_upload(scope["path"]):
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            return
        receive = replay_body(body, receive)
        try:
            used = await _use_key(scope, key, body)
        except ServiceError as error:
            await error_response(error)(scope, receive, send)
            return
        match used:
            case None:
                await self._app(scope, receive, send)
            case Response():
                await used(scope, receive, send)
            case _HeldKey():
                await self._answer(used, scope, receive, send)

    async def _answer(
        self, held: "_HeldKey", scope: HttpScope, receive: Receive, send: Send
    ) -> None:
        recorder = _Recorder(held, send)
        async with held.prolonged():
            try:
                await self._app(scope, receive, recorder.send)
            except ClientDisconnect:
                raise
            except Exception:
                await held.keep(UNEXPECTED.status, _JSON, error_json(UNEXPECTED).encode())
                raise
            finally:
                await held.release()


@dataclass
class _HeldKey:
    """The key while this request has it; `keep` and `release` do nothing once it has not."""

    resources: Resources
    principal: Principal
    use: KeyUse
    _held: bool = True

    def begin(self, fingerprint: str) -> StoredAnswer | None:
        with self.resources.database.transaction() as connection:
            return IdempotencyRepository(connection, self.principal.scope).begin(
                self.use, fingerprint=fingerprint, hold_seconds=_HOLD_SECONDS
            )

    @asynccontextmanager
    async def prolonged(self) -> AsyncIterator[None]:
        """However long the answer takes."""
        prolonging = asyncio.create_task(self._prolong())
        try:
            yield
        finally:
            prolonging.cancel()

    async def _prolong(self) -> None:
        while True:
            await asyncio.sleep(_PROLONG_SECONDS)
            await self._write(lambda keys: keys.prolong(self.use, hold_seconds=_HOLD_SECONDS))

    async def keep(self, status: int, media_type: str, body: bytes) -> None:
        if not self._held:
            return
        self._held = False
        cipher = self.resources.cipher
        text = body.decode()
        sealed = cipher.seal(text) if cipher.available else text
        answer = StoredAnswer(status, media_type, sealed, cipher.available)
        await self._write(lambda keys: keys.keep(self.use, answer))

    async def release(self) -> None:
        if self._held:
            self._held = False
            await self._write(lambda keys: keys.release(self.use))

    async def _write(self, change: Callable[[IdempotencyRepository], None]) -> None:
        """The answer goes out whether this can be written or not."""

        def write() -> None:
            with self.resources.database.transaction() as connection:
                change(IdempotencyRepository(connection, self.principal.scope))

        try:
            await run_sync(write)
        except DatabaseUnavailable:
            logger.warning("the use of an idempotency key went unwritten")


@dataclass
class _Recorder:
    """Holds an answer back until it is whole and kept, unless it is a stream."""

    held: _HeldKey
    forward: Send
    _pending: list[Message] = field(default_factory=list)
    _body: bytearray = field(default_factory=bytearray)

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._pending = [message]
            return
        if self._pending and self._is_streamed():
            await self._flush()
        if not self._pending:
            await self.forward(message)
            return
        self._pending.append(message)
        self._body += message.get("body", b"")
        if len(self._body) > _MAX_KEPT_BYTES:
            await self._flush()
        elif not message.get("more_body", False):
            await self._keep()
            await self._flush()

    def _is_streamed(self) -> bool:
        return self._media_type().startswith("text/event-stream")

    def _media_type(self) -> str:
        return Headers(raw=self._pending[0]["headers"]).get("content-type", "")

    async def _keep(self) -> None:
        status = self._pending[0]["status"]
        if status < 400 or status == UNEXPECTED.status:
            await self.held.keep(status, self._media_type(), bytes(self._body))
        else:
            await self.held.release()

    async def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for message in pending:
            await self.forward(message)


def _key_of(scope: HttpScope) -> str | None:
    """The key, where this request is one that may have any."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    headers = Headers(scope=scope)
    media_type = headers.get("content-type", _JSON)
    if scope["path"].startswith(_NOT_KEPT):
        return None
    return headers.get("idempotency-key") if media_type.startswith(_JSON) else None


async def _read(receive: Receive) -> bytes | None:
    """None when the client left."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _use_key(scope: HttpScope, key: str, body: bytes) -> "_HeldKey | Response | None":
    """The key, held; or the answer of the first time; or None for a caller who is nobody.

    Raises InvalidIdempotencyKey, IdempotencyKeyReused, IdempotencyKeyInUse, DatabaseUnavailable.
    """
    resources: Resources = scope["state"]["resources"]
    principal = await run_sync(find_caller, scope)
    if principal is None:
        return None
    if not 0 < len(key) <= _MAX_KEY_CHARACTERS or "\x00" in key:
        raise InvalidIdempotencyKey(
            f"An Idempotency-Key has 1 to {_MAX_KEY_CHARACTERS} characters."
        )
    scope["state"]["organization"] = principal.scope.organization
    # an answer is only for keys that may do the same: scopes are looked at behind this middleware
    restricted = sorted(principal.scopes - {KeyScope.ALL})
    route = hashlib.sha256(" ".join([scope["path"], *restricted]).encode()).hexdigest()
    held = _HeldKey(resources, principal, KeyUse(route, key, new_request_id()))
    fingerprint = hashlib.sha256(scope["query_string"] + b"\n" + body).hexdigest()
    stored = await run_sync(held.begin, fingerprint)
    if stored is None:
        return held
    admit = resources.rate_limits.admit
    scope["state"]["rate_limits"] = await run_sync(
        admit, principal.scope.project_id, principal.limits
    )
    return _replayed(resources, stored)


def _replayed(resources: Resources, stored: StoredAnswer) -> Response:
    """Raises EncryptionUnavailable."""
    body = resources.cipher.open(stored.body) if stored.is_sealed else stored.body
    headers = {"idempotent-replayed": "true"}
    return Response(body, stored.status, headers=headers, media_type=stored.media_type)
