"""API keys: unguessable, and worthless without the pepper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from service.core.security import hash_api_key, new_api_key, tokens_equal
from service.core.settings import Settings

texts = st.text(st.characters(exclude_categories=["Cs"]))


def test_keys_are_recognisable_and_never_repeat() -> None:
    keys = {new_api_key() for _ in range(100)}

    assert len(keys) == 100
    assert all(key.startswith("sk-ft-") and len(key) == 49 for key in keys)


@pytest.mark.parametrize(("pepper", "same"), [("salt", True), ("pepper", False)])
def test_a_hash_needs_the_same_pepper(pepper: str, same: bool) -> None:
    key = new_api_key()

    hashed = hash_api_key(key, Settings(key_pepper=SecretStr("salt")))

    assert key not in hashed
    assert (hash_api_key(key, Settings(key_pepper=SecretStr(pepper))) == hashed) is same


@given(given_token=texts, expected=texts.filter(bool))
def test_only_the_expected_token_is_accepted(given_token: str, expected: str) -> None:
    assert tokens_equal(expected, expected)
    assert tokens_equal(given_token, expected) is (given_token == expected)
    assert not tokens_equal(given_token, "")
