"""Settings are read once, checked, and handed to children whole."""

import pytest

from service.core.errors import ConfigurationError
from service.core.settings import Settings


def test_a_child_that_gets_the_environment_reads_the_same_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent = Settings(
        api_key="sk-secret", lease_seconds=3, base_models="a=package:x,b=/models/b", data_dir="/d"
    )
    for name, value in parent.as_environment().items():
        monkeypatch.setenv(name, value)

    assert Settings.from_environment() == parent


def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNERY_LEASE_SECONDS", "soon")

    with pytest.raises(ConfigurationError, match="TUNERY_LEASE_SECONDS"):
        Settings.from_environment()


def test_a_base_name_with_a_colon_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNERY_BASE_MODELS", "ft:x=package:y")

    with pytest.raises(ConfigurationError, match="colon"):
        Settings.from_environment()


def test_the_first_base_is_the_default() -> None:
    assert list(Settings(base_models="b=package:x,a=package:y").bases) == ["b", "a"]


def test_no_secret_shows_in_the_representation() -> None:
    assert "hush" not in repr(Settings(api_key="hush", internal_token="hush", key_pepper="hush"))
