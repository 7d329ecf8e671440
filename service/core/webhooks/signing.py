"""Standard Webhooks signatures: HMAC-SHA256 over `id.timestamp.body`, one for each valid secret."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_HINT_CHARACTERS = 4


def new_signing_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def hint_of(secret: str) -> str:
    """Enough to tell two secrets apart, and no more."""
    return f"{_PREFIX}…{secret[-_HINT_CHARACTERS:]}"


def signed_headers(
    delivery_id: str, body: str, *, signing_secrets: Sequence[str], timestamp: int
) -> dict[str, str]:
    """The three headers that receivers verify."""
    signed = f"{delivery_id}.{timestamp}.{body}".encode()
    signatures = [f"v1,{_signature(secret, signed)}" for secret in signing_secrets]
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
