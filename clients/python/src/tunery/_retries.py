"""When a request is sent again, and after which pause: the OpenAI SDKs' rules. Pure."""

import random
import time
from email.utils import parsedate_to_datetime

import httpx2

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 8.0
_LONGEST_RETRY_AFTER_SECONDS = 120.0
_JITTER = 0.25
"""Pauses are shortened by up to this share, so that clients do not come back in step."""


def is_worth_repeating(outcome: httpx2.Response | httpx2.RequestError) -> bool:
    """Whether the same request may succeed later; the server's own word on it comes first."""
    if isinstance(outcome, httpx2.RequestError):
        return True
    asked = _retry_after_seconds(outcome.headers)
    if asked is not None and asked > _LONGEST_RETRY_AFTER_SECONDS:
        return False
    said = outcome.headers.get("x-should-retry")
    if said in ("true", "false"):
        return said == "true"
    return outcome.status_code in (408, 409, 429) or outcome.status_code >= 500


def pause_seconds(retry: int, outcome: httpx2.Response | httpx2.RequestError) -> float:
    """The pause before 0-based repetition `retry`: what the server asks for, or else doubling."""
    if isinstance(outcome, httpx2.Response):
        asked = _retry_after_seconds(outcome.headers)
        if asked is not None and 0 < asked <= _LONGEST_RETRY_AFTER_SECONDS:
            return asked
    doubled = _FIRST_PAUSE_SECONDS * 2.0 ** min(retry, 10)
    return min(doubled, _LONGEST_PAUSE_SECONDS) * (1 - _JITTER * random.random())


def _retry_after_seconds(headers: httpx2.Headers) -> float | None:
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        try:
            return float(headers[name]) / divisor
        except (KeyError, ValueError):
            continue
    try:
        return parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time()
    except (KeyError, ValueError):
        return None
