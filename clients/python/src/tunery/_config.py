"""Where requests go and with which key; the only reader of the environment."""

import os
from dataclasses import dataclass, field

import httpx2

from tunery._exceptions import ConfigurationError

DEFAULT_BASE_URL = "http://127.0.0.1:8000/v1"
DEFAULT_MAX_RETRIES = 2
DEFAULT_TIMEOUT = httpx2.Timeout(600, connect=5)
"""Seconds. Long, because a chat answer on a busy CPU takes its time."""


@dataclass(frozen=True)
class ClientConfig:
    """Settings of one client."""

    base_url: str
    """Without a slash at the end."""
    api_key: str = field(repr=False)
    max_retries: int = DEFAULT_MAX_RETRIES
    """Repetitions after the first attempt."""

    def url(self, path: str) -> str:
        return f"{self.base_url}/{path}"


def configure(*, base_url: str | None, api_key: str | None, max_retries: int) -> ClientConfig:
    """What is None comes from the environment: `TUNERY_BASE_URL` and `TUNERY_API_KEY`, or else
    `OPENAI_BASE_URL` and `OPENAI_API_KEY`.

    Raises ConfigurationError when there is no key, or the address is no HTTP address.
    """
    url = base_url or _first_of("TUNERY_BASE_URL", "OPENAI_BASE_URL") or DEFAULT_BASE_URL
    key = api_key or _first_of("TUNERY_API_KEY", "OPENAI_API_KEY")
    if key is None:
        raise ConfigurationError(
            "no API key: set TUNERY_API_KEY (`tunery-server up` writes one to connection.json)"
        )
    if not _is_http_address(url):
        raise ConfigurationError(f"the base URL must look like {DEFAULT_BASE_URL}, not {url!r}")
    if max_retries < 0:
        raise ConfigurationError("max_retries must be 0 or more")
    return ClientConfig(base_url=url.rstrip("/"), api_key=key, max_retries=max_retries)


def _is_http_address(url: str) -> bool:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        return False
    return parsed.scheme in ("http", "https") and bool(parsed.host)


def _first_of(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
