import pytest

_VARIABLES = ("TUNERY_BASE_URL", "TUNERY_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the person who runs the tests reaches a client."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
