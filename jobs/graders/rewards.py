"""Rewards: what a method's loop calls to have samples graded."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from jobs.graders.public_api import PublicApi
from service.core.database import Database
from service.core.graders import (
    Grader,
    Grading,
    Means,
    ModelAnswer,
    Outcome,
    PythonCode,
    Question,
)
from service.core.graders.endpoint import ModelEndpoint
from service.core.graders.means import Vectors
from service.core.repositories.embedders import EmbedderRepository
from service.core.settings import Settings

_LOOK_SECONDS = 0.5
_AT_ONCE = 16
"""Samples being graded; models and embeddings mostly wait for the engine, Python for a core."""


@dataclass(frozen=True)
class Sample:
    """What a model has answered to a row of the data set, and the row's other members."""

    text: str
    item: Mapping[str, object]


class Rewards:
    """Grades the samples of one project's job; a context manager, not thread-safe.

    >>> with Rewards(settings, database, project_id) as rewards:
    ...     outcomes = rewards.grade(grader, samples, attempt.control.check)
    """

    def __init__(self, settings: Settings, database: Database, project_id: str) -> None:
        self._settings = settings
        self._database = database
        self._project_id = project_id
        self._runner = asyncio.Runner()
        self._open = AsyncExitStack()
        self._grading: Grading | None = None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._runner.run(self._open.aclose())
        finally:
            self._runner.__exit__(kind, error, trace)

    def grade(
        self, grader: Grader, samples: Sequence[Sample], go_on: Callable[[], None]
    ) -> list[Outcome]:
        """In the order of the samples; flags tell what went wrong with one.

        `go_on` is called twice a second, and what it raises ends the grading. Raises
        GraderUnavailable for a grader that this machine cannot run, InvalidRequest when a model
        that it asks is gone.
        """
        return self._runner.run(self._grade(grader, samples, go_on))

    async def _grade(
        self, grader: Grader, samples: Sequence[Sample], go_on: Callable[[], None]
    ) -> list[Outcome]:
        grading, slots = self._ready(), asyncio.Semaphore(_AT_ONCE)

        async def grade(sample: Sample) -> Outcome:
            async with slots:
                return await grading.grade(grader, sample=sample.text, item=sample.item)

        tasks = [asyncio.create_task(grade(sample)) for sample in samples]
        try:
            pending = set(tasks)
            while pending:
                go_on()
                done, pending = await asyncio.wait(
                    pending, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in done:
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return [task.result() for task in tasks]

    def _ready(self) -> Grading:
        """With connections of the event loop that is running."""
        if self._grading is None:
            api = PublicApi(self._settings, self._project_id)
            endpoint = ModelEndpoint.from_settings(self._settings)
            self._open.push_async_callback(api.aclose)
            self._open.push_async_callback(endpoint.aclose)

            async def ask(question: Question) -> ModelAnswer:
                asked = endpoint if question.model in endpoint.models else api
                return await asked.ask(question)

            async def embed(texts: Sequence[str]) -> Vectors:
                model = await asyncio.to_thread(self._first_embedder)
                return await api.embed(model, texts) if texts else []

            python = PythonCode.from_settings(self._settings)
            self._grading = Grading(Means(ask, embed, python))
        return self._grading

    def _first_embedder(self) -> str:
        """Raises ModelNotFound where none is served."""
        with self._database.snapshot() as connection:
            return EmbedderRepository(connection).first().name
