"""Grading models of another, OpenAI-compatible server, which the operator has named."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import httpx2

from service.core.graders.asking import ModelAnswer, Question
from service.core.graders.outcome import Flags, GradingFailed
from service.core.settings import Settings

logger = logging.getLogger(__name__)

_ANSWER_SECONDS = 120.0
_CONNECT_SECONDS = 10.0
_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_BUSY = (408, 409, 429)
_ABOUT_THE_TEXT = (400, 413, 422)
"""Refusals of what was asked; every other fault says nothing of it."""


class ModelEndpoint:
    """Belongs to one event loop; connects with the first question."""

    def __init__(self, url: str, *, key: str | None = None, models: frozenset[str]) -> None:
        self.models = models
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> "ModelEndpoint":
        """One without models, where none is configured."""
        key = settings.grader_endpoint_key
        return cls(
            settings.grader_endpoint_url or "",
            key=key.get_secret_value() if key else None,
            models=settings.grader_models,
        )

    async def ask(self, question: Question) -> ModelAnswer:
        """Raises GradingFailed; the details are the answer's status, or `unreachable`."""
        body = _body(question)
        pause, fault, is_lost = _FIRST_PAUSE_SECONDS, "unreachable", True
        for tries_left in reversed(range(_TRIES)):
            try:
                response = await self._http.post("chat/completions", json=body)
            except httpx2.TransportError as error:
                logger.warning("the grading models' server does not answer: %r", error)
            else:
                if response.is_success:
                    return _answer(response)
                fault = f"status_{response.status_code}"
                is_lost = response.status_code not in _ABOUT_THE_TEXT
                logger.warning("%s answers %s", question.model, response.status_code)
                if response.status_code < 500 and response.status_code not in _BUSY:
                    break
            if tries_left:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        raise GradingFailed(_failed(fault), is_lost=is_lost)

    async def aclose(self) -> None:
        await self._http.aclose()


def _body(question: Question) -> Mapping[str, Any]:
    """What was not asked for is left to the server: not every model takes a temperature."""
    sampling = question.sampling
    fields = {
        "model": question.model,
        "messages": [{"role": role, "content": text} for role, text in question.messages],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "max_completion_tokens": sampling.max_completions_tokens,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _answer(response: httpx2.Response) -> ModelAnswer:
    try:
        answer = response.json()
        choice = answer["choices"][0]
        return ModelAnswer(
            text=choice["message"]["content"] or "",
            tokens=int((answer.get("usage") or {}).get("total_tokens") or 0),
            is_truncated=choice.get("finish_reason") == "length",
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        raise GradingFailed(_failed("unreadable")) from None


def _failed(details: str) -> Flags:
    return Flags(model_grader_server_error=True, model_grader_server_error_details=details)
