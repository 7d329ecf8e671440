"""Where a webhook may go: a public address, over HTTPS.

A name is resolved once, every address it has is checked, and the connection goes to a checked
address, so that a second answer of the DNS changes nothing. Notations such as decimal or octal
numbers need no rule of their own: the resolver reads them as it would for a connection.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpx2

from service.core.errors import AddressRefused, InvalidRequest

_MAX_URL_CHARACTERS = 2048
_HTTPS_PORT = 443
_FIRST_UNPRIVILEGED_PORT = 1024
_EMBEDDING = tuple(
    IPv6Network(net)
    for net in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)
"""IPv4 within IPv6: compatible, NAT64, Teredo, 6to4. No public receiver needs them."""

Address = IPv4Address | IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]


def check_url(url: str, *, allow_private: bool) -> None:
    """What can be told without the DNS. Raises InvalidRequest."""
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise _refused("is no URL") from None
    if len(url) > _MAX_URL_CHARACTERS:
        raise _refused(f"is longer than {_MAX_URL_CHARACTERS} characters")
    if not (parsed.scheme == "https" or (allow_private and parsed.scheme == "http")):
        raise _refused("must begin with https://")
    if not parsed.host:
        raise _refused("names no host")
    if parsed.userinfo or parsed.fragment:
        raise _refused("must hold neither a user name nor a fragment")
    port = _HTTPS_PORT if parsed.port is None else parsed.port
    if not 0 < port < 65_536:
        raise _refused(f"names port {port}, which does not exist")
    if not allow_private:
        _check_port(port)
        _check_literal(parsed.host)


def _check_port(port: int) -> None:
    if port != _HTTPS_PORT and port < _FIRST_UNPRIVILEGED_PORT:
        raise _refused(f"names port {port}; allowed are {_HTTPS_PORT} and those from 1024 on")


def _check_literal(host: str) -> None:
    """A host that is an address in any notation, or says that it is this machine."""
    literal = _literal(host)
    if host == "localhost" or host.endswith(".localhost"):
        raise _refused("names this machine")
    if literal is not None and not is_public(literal):
        raise _refused("names an address that is not public")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:  # decimal, octal, hexadecimal and short forms, as a resolver reads them
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def is_public(address: Address) -> bool:
    """Whether the address is one of the internet's, seen through IPv6 forms of IPv4."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in network for network in _EMBEDDING):
            return False
    return address.is_global and not address.is_multicast


async def system_resolver(host: str, port: int) -> list[str]:
    """What the system says, best first. Raises OSError when there is nothing."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def check_addresses(addresses: Sequence[str]) -> None:
    """Raises AddressRefused unless all are public: a mixed answer is an attempt at something."""
    if not all(is_public(ip_address(address.partition("%")[0])) for address in addresses):
        raise AddressRefused("the host's address is not public")


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(f"The webhook's URL {why}.", param="url")
