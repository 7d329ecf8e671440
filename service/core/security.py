"""API keys: made here, hashed under the server's pepper, never stored."""

import hashlib
import hmac
import secrets

from service.core.settings import Settings


def new_api_key(*, admin: bool = False) -> str:
    """256 random bits behind a prefix that secret scanners can know."""
    prefix = "sk-ft-admin-" if admin else "sk-ft-"
    return f"{prefix}{secrets.token_urlsafe(32)}"


def hash_api_key(key: str, settings: Settings) -> str:
    """HMAC-SHA256, hex: without the pepper a stolen table cannot be tried against guesses."""
    pepper = settings.key_pepper.get_secret_value().encode()
    return hmac.new(pepper, key.encode(), hashlib.sha256).hexdigest()


def tokens_equal(given: str, expected: str) -> bool:
    """Compare in constant time. An empty expectation equals nothing."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())
