"""Secrets of users at rest: encrypted under the operator's keys, the first of which encrypts.

An older key stays behind the newer in the setting until what it encrypted is gone.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.core.errors import ConfigurationError, EncryptionUnavailable
from service.core.settings import Settings


class Cipher:
    """Seals and opens text."""

    def __init__(self, keys: str) -> None:
        """`keys` are comma-separated. Raises ConfigurationError for one that is none."""
        try:
            fernets = [Fernet(key.strip()) for key in keys.split(",") if key.strip()]
        except ValueError:
            raise ConfigurationError(
                "TUNERY_ENCRYPTION_KEYS: each key is 32 random bytes in URL-safe base64."
            ) from None
        self._fernet = MultiFernet(fernets) if fernets else None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Cipher":
        return cls(settings.encryption_keys.get_secret_value())

    @property
    def available(self) -> bool:
        """Whether the operator has given a key."""
        return self._fernet is not None

    def seal(self, text: str) -> str:
        """Raises EncryptionUnavailable."""
        return self._require().encrypt(text.encode()).decode()

    def open(self, sealed: str) -> str:
        """Raises EncryptionUnavailable, also when the key of that time is gone."""
        try:
            return self._require().decrypt(sealed).decode()
        except InvalidToken:
            raise EncryptionUnavailable(
                "A stored secret cannot be read: the key that encrypted it is no longer among this "
                "server's TUNERY_ENCRYPTION_KEYS."
            ) from None

    def _require(self) -> MultiFernet:
        if self._fernet is None:
            raise EncryptionUnavailable(
                "This server cannot keep secrets: its operator has set no TUNERY_ENCRYPTION_KEYS."
            )
        return self._fernet
