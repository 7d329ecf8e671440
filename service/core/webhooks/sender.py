"""Sends one webhook: one POST to a checked address, no redirects, no proxies, all in 15 s."""

import asyncio
import email.utils
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from service.core.errors import AddressRefused
from service.core.webhooks.addresses import Resolver, check_addresses, system_resolver

TIMEOUT_SECONDS = 15.0
_ADDRESSES_TRIED = 3
_USER_AGENT = "Tunery-Webhooks/1"


@dataclass(frozen=True)
class Reply:
    """What came back; exactly one of `status_code` and `error` is set."""

    status_code: int | None
    error: str | None
    retry_after_seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def gone(self) -> bool:
        """The receiver says that it wants no more."""
        return self.status_code == httpx2.codes.GONE


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Connects to an address that was checked, in the name of the URL's host.

    The request keeps its `Host` header, and TLS verifies the certificate against the host's name.
    """

    def __init__(
        self,
        *,
        allow_private: bool,
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` is what certificates are trusted by; None means the usual authorities."""
        self._allow_private = allow_private
        self._resolver = resolver
        self._inner = httpx2.AsyncHTTPTransport(verify=tls or True, trust_env=False)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises AddressRefused, httpx2.TransportError."""
        host = request.url.raw_host.decode("ascii")
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):
            raise httpx2.ConnectError("the host's name has no address") from None
        if not self._allow_private:
            check_addresses(addresses)
        extensions = {**request.extensions, "sni_hostname": host}
        failure = httpx2.ConnectError("the host's name has no address")
        for address in addresses[:_ADDRESSES_TRIED]:
            try:
                return await self._inner.handle_async_request(_to(request, address, extensions))
            except httpx2.ConnectError as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


def _to(request: httpx2.Request, address: str, extensions: dict[str, object]) -> httpx2.Request:
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


async def send(
    url: str, body: str, headers: Mapping[str, str], transport: PinnedTransport
) -> Reply:
    """Closes the transport. Never raises for what the receiver or the network does."""
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _post(url, body, headers, transport)
    except TimeoutError:
        return Reply(None, f"no answer within {TIMEOUT_SECONDS:.0f} s")
    except AddressRefused as error:
        return Reply(None, error.message)
    except (httpx2.TransportError, httpx2.InvalidURL) as error:
        return Reply(None, _reason(error))


async def _post(
    url: str, body: str, headers: Mapping[str, str], transport: PinnedTransport
) -> Reply:
    all_headers = {"content-type": "application/json", "user-agent": _USER_AGENT, **headers}
    async with (
        httpx2.AsyncClient(
            transport=transport,
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
            trust_env=False,
        ) as client,
        client.stream("POST", url, content=body.encode(), headers=all_headers) as response,
    ):  # the body of the answer is not read: it may have no end
        return Reply(
            response.status_code, None, _retry_after(response.headers.get("retry-after", ""))
        )


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    if isinstance(error, httpx2.ConnectError):
        return "no connection: the host has no address, refuses, or its certificate is not valid"
    return "the connection broke off, or the answer was no HTTP"


def _retry_after(value: str) -> float:
    """Seconds, from a number or a date; 0 for anything else."""
    if value.strip().isdecimal():
        return float(value)
    try:
        at = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError):
        return 0.0
    return max(0.0, at - time.time())
