"""One POST to a checked address, and no way from there to another."""

import asyncio
import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from service.core.webhooks.sender import PinnedTransport, Reply, send
from tests.fakes.receiver import running_receiver

HOST = "hooks.example"


class Dns:
    """Answers one address, then others: what a rebinding attacker's server does."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.questions = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.questions += 1
        if not self.answers:
            raise OSError(f"{host}:{port} is unknown")
        return self.answers.pop(0)


def post(url: str, transport: PinnedTransport) -> Reply:
    return asyncio.run(send(url, "{}", {"webhook-id": "wh_1"}, transport))


def test_the_connection_goes_to_the_resolved_address_in_the_hosts_name() -> None:
    dns = Dns(["127.0.0.1"])
    with running_receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", HOST)
        reply = post(url, PinnedTransport(allow_private=True, resolver=dns))

    (request,) = receiver.received
    assert reply.accepted
    assert dns.questions == 1
    assert request.headers["host"] == url.removeprefix("http://").removesuffix("/hook")
    assert request.headers["webhook-id"] == "wh_1"


def test_nothing_is_sent_to_an_address_that_is_not_public() -> None:
    with running_receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", HOST)
        reply = post(url, PinnedTransport(allow_private=False, resolver=Dns(["127.0.0.1"])))

    assert receiver.received == []
    assert reply == Reply(None, "the host's address is not public")


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with running_receiver() as elsewhere, running_receiver() as receiver:
        receiver.replies = [(307, {"location": elsewhere.url})]
        reply = post(receiver.url, PinnedTransport(allow_private=True))

    assert (reply.status_code, reply.accepted) == (307, False)
    assert elsewhere.received == []


def test_an_address_that_refuses_is_followed_by_the_hosts_next_one() -> None:
    with running_receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", HOST)
        dns = Dns(["127.0.0.9", "127.0.0.1"])
        reply = post(url, PinnedTransport(allow_private=True, resolver=dns))

    assert reply.status_code == 204


def test_a_host_without_an_address_is_no_answer() -> None:
    reply = post(f"https://{HOST}/", PinnedTransport(allow_private=True, resolver=Dns()))

    assert reply.status_code is None
    assert "no connection" in str(reply.error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120), ("", 0), ("soon", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)],
)
def test_retry_after_is_read_as_seconds_or_a_date(value: str, seconds: float) -> None:
    with running_receiver() as receiver:
        receiver.replies = [(503, {"retry-after": value})]
        reply = post(receiver.url, PinnedTransport(allow_private=True))

    assert reply.retry_after_seconds == seconds


@pytest.mark.parametrize(("named", "accepted"), [(HOST, True), ("other.example", False)])
def test_the_certificate_is_checked_against_the_hosts_name(
    tmp_path: Path, named: str, accepted: bool
) -> None:
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(certificate := _certificate(tmp_path, named))
    trusting = ssl.create_default_context(cafile=certificate)
    with running_receiver(serving) as receiver:
        url = receiver.url.replace("127.0.0.1", HOST)
        transport = PinnedTransport(allow_private=True, resolver=Dns(["127.0.0.1"]), tls=trusting)
        reply = post(url, transport)

    assert reply.accepted is accepted


def _certificate(folder: Path, host: str) -> Path:
    """A file with a self-signed certificate of this host, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path
