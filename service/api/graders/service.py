"""Grading one sample; the models that grade are asked as any caller asks them."""

import time

from anyio.to_thread import run_sync

from service.api.chat.requests import CreateChatCompletion
from service.api.chat.service import ChatService
from service.api.graders.schemas import GraderRun, RunGrader
from service.core.database import Database
from service.core.domain.access import Principal
from service.core.errors import ModelNotFound
from service.core.graders import (
    Grader,
    Grading,
    ModelAnswer,
    Question,
    check_grader,
    models_of,
)
from service.core.repositories.models import ModelRepository


class GraderService:
    """Graders of a caller."""

    def __init__(self, database: Database, chat: ChatService) -> None:
        self._database = database
        self._chat = chat

    async def run(self, principal: Principal, request: RunGrader) -> GraderRun:
        """Raises GraderUnavailable, ModelNotFound, and InvalidRequest for what the grading model
        cannot be asked."""
        started = time.monotonic()
        await run_sync(self._check_models, principal, request.grader)

        async def ask(question: Question) -> ModelAnswer:
            return await self._ask(principal, question)

        outcome = await Grading(ask).grade(
            request.grader, sample=request.model_sample, item=request.item
        )
        return GraderRun.from_outcome(request.grader, outcome, seconds=time.monotonic() - started)

    def validate(self, principal: Principal, grader: Grader) -> None:
        """Raises InvalidRequest, GraderUnavailable, ModelNotFound."""
        check_grader(grader)
        self._check_models(principal, grader)

    def _check_models(self, principal: Principal, grader: Grader) -> None:
        for place, name in models_of(grader):
            with self._database.snapshot() as connection:
                try:
                    ModelRepository(connection, principal.scope).resolve(name)
                except ModelNotFound as error:
                    raise ModelNotFound(error.message, param=place) from None

    async def _ask(self, principal: Principal, question: Question) -> ModelAnswer:
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
