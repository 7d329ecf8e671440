"""Whatever notation an address hides in, only public ones are connected to."""

import asyncio
from ipaddress import ip_address

import pytest

from service.core.errors import AddressRefused, InvalidRequest
from service.core.webhooks.addresses import (
    check_addresses,
    check_url,
    is_public,
    system_resolver,
)

BYPASSES = [
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://0/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://api.localhost/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/",
    "https://[ff02::1]/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://１２７.0.0.1/",
]


@pytest.mark.parametrize("url", BYPASSES)
def test_no_notation_of_an_address_that_is_not_public_passes(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/",
        "ftp://hooks.example/",
        "file:///etc/passwd",
        "https:///path",
        "hooks.example",
        "https://user@hooks.example/",
        "https://user:password@hooks.example/",
        "https://hooks.example/#part",
        "https://hooks.example:22/",
        "https://hooks.example:99999/",
        "https://hooks.example/" + "x" * 2048,
        "https://hooks.example\x00.evil/",
    ],
)
def test_what_is_no_plain_https_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    ["https://hooks.example/in?x=1", "https://hooks.example:8443/", "https://93.184.216.34/"],
)
def test_a_public_address_passes(url: str) -> None:
    check_url(url, allow_private=False)


def test_private_addresses_and_plain_http_pass_where_the_operator_allows_them() -> None:
    check_url("http://127.0.0.1:80/", allow_private=True)


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["93.184.216.34", "10.0.0.1"],
        ["::ffff:10.0.0.1"],
        ["fe80::1%lo"],
        ["169.254.169.254"],
    ],
)
def test_an_answer_of_the_dns_with_one_address_that_is_not_public_is_refused(
    answer: list[str],
) -> None:
    with pytest.raises(AddressRefused):
        check_addresses(answer)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "localhost"])
def test_the_resolver_reads_every_notation_before_it_is_checked(host: str) -> None:
    addresses = asyncio.run(system_resolver(host, 443))

    assert not any(is_public(ip_address(address)) for address in addresses)
