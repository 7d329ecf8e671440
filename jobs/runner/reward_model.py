"""A trained reward model, asked through the api's public route for the job's project."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx2

from jobs.methods.method import Answered
from service.core.errors import EngineUnavailable, TrainingFailed
from service.core.internal_calls import PROJECT_HEADER
from service.core.settings import Settings

logger = logging.getLogger(__name__)

_AT_ONCE = 4
"""Requests being answered."""
_BYTES, _CONVERSATIONS = 200_000, 512
"""Of a request. It may have 300,000 tokens and 2,048 conversations, and a token has a byte or more;
what a template adds has the rest."""
_PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 1.0
_OUR_TROUBLE = (401, 429)
"""Says nothing of what was asked, as little as a 5xx does."""


class RewardModelClient:
    """A context manager; not thread-safe."""

    def __init__(
        self,
        settings: Settings,
        project_id: str,
        model: str,
        pulse: Callable[[], None],
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        token = settings.internal_token.get_secret_value()
        self._model = model
        self._pulse = pulse
        self._patience_seconds = patience_seconds
        self._is_over = threading.Event()
        self._http = httpx2.Client(
            base_url=settings.api_url,
            headers={"Authorization": f"Bearer {token}", PROJECT_HEADER: project_id},
            timeout=httpx2.Timeout(60.0, connect=5.0),
            trust_env=False,  # a proxy of the environment must not see internal traffic
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def score(self, answers: Sequence[Answered]) -> list[float]:
        """Raises TrainingFailed for a model that is gone or gives no score, EngineUnavailable when
        patience ends, and what `pulse` raises."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            scores = [pool.submit(self._score, batch) for batch in _batches(answers)]
            try:
                while not all(score.done() for score in scores):
                    wait(scores, timeout=_PAUSE_SECONDS)
                    self._pulse()
            except BaseException:
                self._is_over.set()  # nobody waits for the rest
                raise
        return [score for batch in scores for score in batch.result()]

    def _score(self, batch: "_Batch") -> list[float]:
        """On a thread of its own."""
        answer = self._post({"model": self._model, **batch.to_body()})
        scores = [item["score"] for item in answer["data"]]
        if None in scores:
            raise TrainingFailed(f"{self._model!r} is no reward model: it gives no scores.")
        return [float(score) for score in scores]

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                response = self._http.post("/v1/classify", json=body)
            except httpx2.TransportError as error:
                logger.warning("the api does not answer: %r", error)
            else:
                if response.is_success:
                    answer: dict[str, Any] = response.json()
                    return answer
                if response.status_code < 500 and response.status_code not in _OUR_TROUBLE:
                    message = response.json()["error"]["message"]
                    raise TrainingFailed(f"The reward model cannot score: {message}")
                logger.warning("the api answers %s to a reward model", response.status_code)
            if self._is_over.is_set() or time.monotonic() > deadline:
                raise EngineUnavailable("the api does not answer what the training asks")
            self._is_over.wait(_PAUSE_SECONDS)


@dataclass
class _Batch:
    """What one request is about."""

    tools: list[dict[str, Any]]
    """Of all its conversations."""
    conversations: list[list[dict[str, Any]]] = field(default_factory=list)
    bytes: int = 0

    def to_body(self) -> dict[str, Any]:
        tools = {"tools": self.tools} if self.tools else {}
        return {"input": self.conversations, **tools}


def _batches(answers: Sequence[Answered]) -> list[_Batch]:
    """In order, mostly all in one."""
    batches: list[_Batch] = []
    for answer in answers:
        tools = [dict(tool) for tool in answer.prompt.tools or ()]
        said = {"role": "assistant", "content": answer.text}
        conversation = [*map(dict, answer.prompt.messages), said]
        size = len(json.dumps([*conversation, *tools], ensure_ascii=False).encode())
        last = batches[-1] if batches else None
        if last is None or last.tools != tools or not _has_room(last, size):
            last = _Batch(tools)
            batches.append(last)
        last.conversations.append(conversation)
        last.bytes += size
    return batches


def _has_room(batch: _Batch, size: int) -> bool:
    return batch.bytes + size <= _BYTES and len(batch.conversations) < _CONVERSATIONS
