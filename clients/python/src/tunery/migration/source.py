"""What is read from the place that is left: files, jobs, checkpoints, webhooks, answers."""

from collections.abc import Mapping
from typing import Any, Self

import httpx2

from tunery._calls import chat as chat_calls
from tunery._calls import files as file_calls
from tunery._calls.parts import cursor, reading, segment
from tunery._config import DEFAULT_TIMEOUT, configure
from tunery._flow import Call
from tunery._sync import Driver, Listing
from tunery._types import ChatCompletion, File, Listed, Page

DEFAULT_BASE_URL = "https://api.openai.com/v1"
MAX_RETRIES = 10
"""About a minute of patience a request, or as long as `Retry-After` asks for each time."""
_PAGE = 100


class SourceJob(Listed):
    """A job as its source tells of it; what it leaves out or sends as null is None."""

    status: str
    model: str
    fine_tuned_model: str | None = None
    created_at: int = 0
    training_file: str
    validation_file: str | None = None
    seed: int | None = None
    method: dict[str, Any] | None = None
    hyperparameters: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    integrations: list[dict[str, Any]] | None = None
    user_provided_suffix: str | None = None
    error: dict[str, Any] | None = None

    @property
    def suffix(self) -> str | None:
        """As given, or else the fourth part of the tuned name."""
        parts = (self.fine_tuned_model or "").split(":")
        return self.user_provided_suffix or (parts[3] if len(parts) >= 5 else None) or None

    @property
    def failure(self) -> str:
        """Why it failed, as far as the source says."""
        return str((self.error or {}).get("message") or "no reason given")


class SourceCheckpoint(Listed):
    """Weights of an earlier step, which had a name of their own."""

    fine_tuned_model_checkpoint: str


class WebhookEndpoint(Listed):
    """Where the source tells of events."""

    url: str


class Source:
    """An organisation at a server that speaks the OpenAI API. Nothing is changed there. An
    `http_client` that is given stays the caller's to close."""

    def __init__(
        self,
        *,
        base_url: str = DEFAULT_BASE_URL,
        api_key: str,
        http_client: httpx2.Client | None = None,
    ) -> None:
        config = configure(base_url=base_url, api_key=api_key, max_retries=MAX_RETRIES)
        self.base_url = config.base_url
        self._http = http_client or httpx2.Client(timeout=DEFAULT_TIMEOUT)
        self._is_ours = http_client is None
        self._driver = Driver(config, self._http)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            self._http.close()

    def jobs(self) -> list[SourceJob]:
        """All of them, oldest first: a job may start from an earlier one's model."""
        call = Call("GET", "fine_tuning/jobs", reading(Page[SourceJob]), query=cursor(limit=_PAGE))
        return list(Listing(self._driver, call))[::-1]

    def datasets(self) -> list[File]:
        """Files for fine-tuning, oldest first."""
        call = file_calls.list_page(purpose="fine-tune", limit=_PAGE)
        return list(Listing(self._driver, call))[::-1]

    def checkpoints(self, job_id: str) -> list[SourceCheckpoint]:
        path = f"fine_tuning/jobs/{segment(job_id)}/checkpoints"
        call = Call("GET", path, reading(Page[SourceCheckpoint]), query=cursor(limit=_PAGE))
        return list(Listing(self._driver, call))

    def webhooks(self) -> list[WebhookEndpoint]:
        """Raises APIStatusError where there are none such, or none are shown to this key."""
        call = Call("GET", "webhook_endpoints", reading(Page[WebhookEndpoint]))
        return list(Listing(self._driver, call))

    def content(self, file_id: str, *, first_byte: int) -> httpx2.Response:
        """A file's bytes, unread; status 206 if they begin at `first_byte`, else at 0."""
        headers = {"Accept-Encoding": "identity"}  # so that bytes count alike on both sides
        if first_byte:
            headers["Range"] = f"bytes={first_byte}-"
        path = f"files/{segment(file_id)}/content"
        return self._driver.perform(Call("GET", path, _unread, headers=headers, is_streamed=True))

    def ask(self, request: Mapping[str, Any]) -> ChatCompletion:
        """One answer of an old model."""
        return self._driver.perform(chat_calls.complete(request))  # type: ignore[arg-type]


def _unread(response: httpx2.Response) -> httpx2.Response:
    return response
