"""One call from first attempt to parsed answer, as a flow."""

from itertools import count
from typing import TypeVar
from uuid import uuid4

import httpx2
from pydantic import ValidationError

from tunery._config import ClientConfig
from tunery._exceptions import APIResponseError, TuneryError, connection_error, status_error
from tunery._flow import Call, Flow, Pause, Send
from tunery._retries import is_worth_repeating, pause_seconds
from tunery._version import __version__

T = TypeVar("T")


def perform(call: Call[T], config: ClientConfig) -> Flow[T]:
    """Send the call, repeat it where that may help, and parse the answer.

    Every repetition of a POST carries the same idempotency key, so a server that has already
    done what was asked can answer without doing it twice.
    """
    key = f"tunery-{uuid4().hex}" if call.method == "POST" else None
    for retry in count():
        outcome = yield Send(call, {**_headers(config, key, retry), **call.headers})
        assert outcome is not None  # drivers answer a Send with what came of it
        if isinstance(outcome, httpx2.Response) and outcome.is_success:
            return _parsed(call, outcome)
        if retry == config.max_retries or not is_worth_repeating(outcome):
            raise _error(outcome)
        yield Pause(pause_seconds(retry, outcome))
    raise AssertionError("unreachable")


def _headers(config: ClientConfig, key: str | None, retry: int) -> dict[str, str]:
    headers = {
        "Authorization": f"Bearer {config.api_key}",
        "User-Agent": f"tunery-python/{__version__}",
        "X-Tunery-Retry-Count": str(retry),
        "X-Stainless-Retry-Count": str(retry),  # the name that the OpenAI SDKs use
    }
    return headers if key is None else {**headers, "Idempotency-Key": key}


def _parsed(call: Call[T], response: httpx2.Response) -> T:
    try:
        return call.parse(response)
    except ValidationError as error:
        raise APIResponseError(
            f"the answer to {call.method} {call.path} is not of the promised form: "
            f"{error.error_count()} field(s) do not fit; is this a Tunery server?",
            request_id=response.headers.get("x-request-id"),
        ) from error


def _error(outcome: httpx2.Response | httpx2.RequestError) -> TuneryError:
    if isinstance(outcome, httpx2.Response):
        return status_error(outcome)
    return connection_error(outcome)
