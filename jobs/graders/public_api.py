"""The api's public routes as graders use them: to ask a model, and to embed texts.

They are called under the internal token for the job's project, so that a model grades a job exactly
as it grades a `graders/run`. A busy or absent api only delays them, for a while.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from service.core.errors import ContextLengthExceeded, EngineUnavailable, InvalidRequest
from service.core.graders import Flags, ModelAnswer, Question
from service.core.graders.means import Vectors
from service.core.graders.outcome import GradingFailed
from service.core.internal_calls import PROJECT_HEADER
from service.core.settings import Settings

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 120.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_OUR_TROUBLE = (401, 429)
"""Says nothing of what was asked, as little as a 5xx does."""


class PublicApi:
    """Belongs to one event loop."""

    def __init__(self, settings: Settings, project_id: str) -> None:
        token = settings.internal_token.get_secret_value()
        self._http = httpx2.AsyncClient(
            base_url=settings.api_url,
            headers={"Authorization": f"Bearer {token}", PROJECT_HEADER: project_id},
            timeout=httpx2.Timeout(None, connect=5.0),
            trust_env=False,  # a proxy of the environment must not see internal traffic
        )

    async def ask(self, question: Question) -> ModelAnswer:
        """Raises GradingFailed for what cannot be asked, EngineUnavailable when patience ends, and
        InvalidRequest for a model that is gone."""
        sampling = question.sampling
        response = await self._post(
            "/v1/chat/completions",
            {
                "model": question.model,
                "messages": [{"role": r, "content": text} for r, text in question.messages],
                "temperature": 0.0 if sampling.temperature is None else sampling.temperature,
                "top_p": sampling.top_p,
                "seed": sampling.seed,
                "max_completion_tokens": sampling.max_completions_tokens,
            },
        )
        if response.is_error:
            code = _code(response)
            raise GradingFailed(
                Flags(model_grader_server_error=True, model_grader_server_error_details=code)
            )
        answer = response.json()
        choice = answer["choices"][0]
        return ModelAnswer(
            text=choice["message"]["content"] or "",
            tokens=answer["usage"]["total_tokens"],
            is_truncated=choice["finish_reason"] == "length",
        )

    async def embed(self, model: str, texts: Sequence[str]) -> Vectors:
        """Raises ContextLengthExceeded, GradingFailed, EngineUnavailable, InvalidRequest."""
        body = {"model": model, "input": list(texts), "encoding_format": "float"}
        response = await self._post("/v1/embeddings", body)
        if response.is_error:
            if _code(response) == ContextLengthExceeded.code:
                raise ContextLengthExceeded("A text is too long for the embedding model.")
            raise GradingFailed(Flags(other_error=True))
        return [row["embedding"] for row in response.json()["data"]]

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx2.Response:
        """An answer, be it a refusal of these very texts."""
        deadline, pause = time.monotonic() + _PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            try:
                response = await self._http.post(path, json=body)
            except httpx2.TransportError as error:
                logger.warning("the api does not answer: %r", error)
            else:
                if response.status_code == 404:
                    raise InvalidRequest(
                        f"The model {body['model']!r}, which the grader asks, does not exist any "
                        "more or may not be used by this project."
                    )
                if response.status_code < 500 and response.status_code not in _OUR_TROUBLE:
                    return response
                logger.warning("the api answers %s to a grader", response.status_code)
            if time.monotonic() + pause > deadline:
                raise EngineUnavailable("the api does not answer what a grader asks")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def aclose(self) -> None:
        await self._http.aclose()


def _code(response: httpx2.Response) -> str:
    try:
        return str(response.json()["error"]["code"])
    except (ValueError, LookupError, TypeError):
        return f"status_{response.status_code}"
