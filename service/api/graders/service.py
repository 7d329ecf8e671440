"""Grading one sample; the models that grade are asked as any caller asks them."""

import time
from collections.abc import Sequence

from anyio.to_thread import run_sync

from service.api.chat.requests import CreateChatCompletion
from service.api.chat.service import ChatService
from service.api.embeddings.requests import CreateEmbeddings
from service.api.embeddings.service import EmbeddingService
from service.api.graders.schemas import GraderRun, RunGrader
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.errors import ModelNotFound
from service.core.graders import (
    Grader,
    Grading,
    Means,
    ModelAnswer,
    PythonCode,
    Question,
    models_of,
)
from service.core.graders.endpoint import ModelEndpoint
from service.core.graders.means import Vectors
from service.core.repositories.embedders import EmbedderRepository
from service.core.repositories.models import ModelRepository


class GraderService:
    """Graders of a caller."""

    def __init__(
        self,
        database: Database,
        chat: ChatService,
        embeddings: EmbeddingService,
        *,
        python: PythonCode,
        endpoint: ModelEndpoint,
    ) -> None:
        self._database = database
        self._chat = chat
        self._embeddings = embeddings
        self._python = python
        self._endpoint = endpoint

    async def run(self, principal: Principal, request: RunGrader) -> GraderRun:
        """Raises GraderUnavailable, ModelNotFound, and InvalidRequest for what the grading model
        cannot be asked."""
        started = time.monotonic()
        await run_sync(self._check_models, principal, request.grader)

        outcome = await self._grading(principal).grade(
            request.grader, sample=request.model_sample, item=request.item
        )
        return GraderRun.from_outcome(request.grader, outcome, seconds=time.monotonic() - started)

    async def validate(self, principal: Principal, grader: Grader) -> None:
        """Raises InvalidRequest, GraderUnavailable, ModelNotFound."""
        await self._grading(principal).check(grader)
        await run_sync(self._check_models, principal, grader)

    def _grading(self, principal: Principal) -> Grading:
        async def ask(question: Question) -> ModelAnswer:
            return await self._ask(principal, question)

        async def embed(texts: Sequence[str]) -> Vectors:
            return await self._embed(principal, texts)

        return Grading(Means(ask, embed, self._python))

    def _check_models(self, principal: Principal, grader: Grader) -> None:
        for place, name in models_of(grader):
            if name in self._endpoint.models:
                continue
            with self._database.snapshot() as connection:
                try:
                    ModelRepository(connection, principal.scope).resolve(name)
                except ModelNotFound as error:
                    raise ModelNotFound(error.message, param=place) from None

    async def _embed(self, principal: Principal, texts: Sequence[str]) -> Vectors:
        """By the operator's first embedding model. Raises ModelNotFound where there is none."""
        model = await run_sync(self._first_embedder)
        if not texts:
            return []
        request = CreateEmbeddings(model=model, input=list(texts), encoding_format="float")
        answer = await self._embeddings.create(principal, request)
        return [[float(number) for number in row.embedding] for row in answer.data]

    def _first_embedder(self) -> str:
        with self._database.snapshot() as connection:
            return EmbedderRepository(connection).first().name

    async def _ask(self, principal: Principal, question: Question) -> ModelAnswer:
        if question.model in self._endpoint.models:
            return await self._endpoint.ask(question)
        sampling = question.sampling
        request = CreateChatCompletion.model_validate(
            {
                "model": question.model,
                "messages": [{"role": r, "content": text} for r, text in question.messages],
                "temperature": 0.0 if sampling.temperature is None else sampling.temperature,
                "top_p": sampling.top_p,
                "seed": sampling.seed,
                "max_completion_tokens": sampling.max_completions_tokens,
            }
        )
        answer = await self._chat.complete(principal, request)
        choice = answer.choices[0]
        return ModelAnswer(
            text=choice.message.content or "",
            tokens=answer.usage.total_tokens,
            is_truncated=choice.finish_reason == "length",
        )
