import pytest

from tunery import ConfigurationError
from tunery._config import ClientConfig, configure


def configured(base_url: str | None = None, api_key: str | None = "sk-1") -> ClientConfig:
    return configure(base_url=base_url, api_key=api_key, max_retries=2)


def test_our_variables_win_over_those_of_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://theirs/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-theirs")
    theirs = configured(api_key=None)
    monkeypatch.setenv("TUNERY_BASE_URL", "http://ours/v1")
    monkeypatch.setenv("TUNERY_API_KEY", "sk-ours")
    ours = configured(api_key=None)
    assert (theirs.base_url, theirs.api_key) == ("http://theirs/v1", "sk-theirs")
    assert (ours.base_url, ours.api_key) == ("http://ours/v1", "sk-ours")


def test_what_the_caller_gives_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNERY_BASE_URL", "http://env/v1")
    monkeypatch.setenv("TUNERY_API_KEY", "sk-env")
    config = configured("http://given/v1", "sk-given")
    assert (config.base_url, config.api_key) == ("http://given/v1", "sk-given")


def test_without_an_address_the_local_server_is_asked() -> None:
    assert configured().base_url == "http://127.0.0.1:8000/v1"


def test_a_slash_at_the_end_of_the_address_makes_no_difference() -> None:
    assert configured("http://server/v1/").url("files") == "http://server/v1/files"


def test_a_missing_key_is_refused_with_the_variable_to_set() -> None:
    with pytest.raises(ConfigurationError, match="TUNERY_API_KEY"):
        configured(api_key=None)


@pytest.mark.parametrize("url", ["server/v1", "ftp://server", "http://", "http://[::"])
def test_what_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        configured(url)


def test_the_key_does_not_show_in_the_representation() -> None:
    assert "sk-secret" not in repr(configured(api_key="sk-secret"))
