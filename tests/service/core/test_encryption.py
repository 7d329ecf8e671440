"""Secrets at rest: readable with the operator's keys, and with nothing else."""

import base64
import secrets

import pytest

from service.core.encryption import Cipher
from service.core.errors import ConfigurationError, EncryptionUnavailable


def key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def test_what_is_sealed_can_be_opened_and_does_not_show() -> None:
    cipher = Cipher(key())

    assert "hush" not in cipher.seal("hush")
    assert cipher.open(cipher.seal("hush")) == "hush"


def test_an_older_key_behind_a_newer_one_still_opens_and_no_longer_seals() -> None:
    old, new = key(), key()
    sealed = Cipher(old).seal("hush")
    both = Cipher(f"{new}, {old}")

    assert both.open(sealed) == "hush"
    assert Cipher(new).open(both.seal("hush")) == "hush"


def test_without_the_key_of_that_time_a_secret_is_refused() -> None:
    with pytest.raises(EncryptionUnavailable):
        Cipher(key()).open(Cipher(key()).seal("hush"))


def test_without_any_key_no_secret_is_taken() -> None:
    assert not Cipher("").available
    with pytest.raises(EncryptionUnavailable, match="TUNERY_ENCRYPTION_KEYS"):
        Cipher("").seal("hush")


def test_a_key_that_is_none_stops_the_process() -> None:
    with pytest.raises(ConfigurationError, match="TUNERY_ENCRYPTION_KEYS"):
        Cipher("too-short")
