"""Someone who migrates: an api of ours, a transport that can be cut, and a look at the end."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest

from service.core.domain.jobs import JobStatus
from service.core.domain.models import Delta
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository
from service.core.text import TextCodec
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.fakes.openai_source import BASE, SOURCE_KEY, RunningSource
from tests.running_api import RunningApi, Tenant
from tunery import Tunery
from tunery.migration import Migration, MigrationOptions, Report, Source

HERE = FAKE_BASE.name
_numbers = count(900_000)


class Cut(BaseException):
    """The process ends here."""


@dataclass
class Scissors:
    """Cuts the migration at its `at`th call: before it is sent, after it was answered, or while the
    answer comes in."""

    at: int = 0
    where: Literal["before", "after", "during"] = "before"
    calls: int = 0

    def next(self) -> bool:
        self.calls += 1
        return self.calls == self.at


class _CutStream(httpx2.SyncByteStream):
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def __iter__(self) -> Any:
        for piece in self._response.iter_raw(4096):
            yield piece
            raise Cut

    def close(self) -> None:
        self._response.close()


class CuttableTransport(httpx2.HTTPTransport):
    def __init__(
        self, scissors: Scissors, before: Callable[[httpx2.Request], object] = lambda _: None
    ) -> None:
        super().__init__()
        self._scissors = scissors
        self._before = before

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        is_cut, where = self._scissors.next(), self._scissors.where
        if is_cut and where == "before":
            raise Cut
        self._before(request)
        response = super().handle_request(request)
        if is_cut and where == "after":
            response.read()
            response.close()
            raise Cut
        if is_cut:
            return httpx2.Response(
                response.status_code, headers=response.headers, stream=_CutStream(response)
            )
        return response


@dataclass
class Workplace:
    """One project of ours, and a folder for the migration."""

    api: RunningApi
    engine: FakeEngine
    codec: TextCodec
    folder: Path
    tenant: Tenant
    finishes: bool = True
    """Whether a worker has finished the jobs whenever somebody looks."""
    answers: str = "I am new."
    fails: list[str] = field(default_factory=list)
    """Suffixes of jobs that fail here."""

    def another(self) -> "Workplace":
        """An empty project and folder."""
        folder = self.folder.with_name(f"w{next(_numbers)}")
        return Workplace(self.api, self.engine, self.codec, folder, self.api.new_tenant())

    def migrate(
        self, source: RunningSource, scissors: Scissors | None = None, **options: Any
    ) -> Report:
        """Raises Cut where the scissors say."""
        with self.migration(source, scissors, **options) as migration:
            return migration.run()

    @contextmanager
    def migration(
        self, source: RunningSource, scissors: Scissors | None = None, **options: Any
    ) -> Iterator[Migration]:
        scissors = scissors or Scissors()
        chosen = MigrationOptions(**{"bases": {BASE: HERE}, "poll_seconds": 0.01, **options})
        with (
            httpx2.Client(transport=CuttableTransport(scissors), timeout=30) as there,
            httpx2.Client(transport=CuttableTransport(scissors, self._look), timeout=30) as here,
        ):
            old = Source(base_url=source.url, api_key=SOURCE_KEY, http_client=there)
            yield Migration(old, self.client(http_client=here), self.folder, chosen)

    def client(self, **options: Any) -> Tunery:
        return Tunery(base_url=f"{self.api.url}/v1", api_key=self.tenant.key, **options)

    def lose_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def end_state(self) -> dict[str, Any]:
        """Everything that is there, by the names it had at the source."""
        with self.client() as client:
            files = {file.id: (file.filename, file.bytes) for file in client.files.list()}
            jobs = list(client.fine_tuning.jobs.list())
            named = list(client.models.aliases.list())
        origins = {str(job.fine_tuned_model): dict(job.metadata or {}) for job in jobs}
        return {
            "files": sorted(files.values()),
            "jobs": sorted(
                (
                    sorted((job.metadata or {}).items()),
                    job.status,
                    job.model,
                    job.seed,
                    sorted((job.hyperparameters or {}).items(), key=str),
                    files[job.training_file],
                    files.get(job.validation_file or ""),
                )
                for job in jobs
            ),
            "names": sorted(
                (each.alias, str(origins.get(each.model, each.model))) for each in named
            ),
        }

    # The worker

    def _look(self, request: httpx2.Request) -> None:
        path = request.url.path
        if self.finishes and request.method == "GET" and "/fine_tuning/jobs/ftjob-" in path:
            self._finish(path.split("/")[4])

    def _finish(self, job_id: str) -> None:
        number = next(_numbers)
        digest = f"{number:064x}"
        self.engine.answers[digest] = self.codec.encode(self.answers)
        scope = self.tenant.principal.scope
        with self.api.database.transaction() as connection:
            jobs = JobRepository(connection, scope)
            job = jobs.get(job_id)
            if job.status is not JobStatus.VALIDATING_FILES:
                return
            jobs.move(job_id, JobStatus.QUEUED)
            jobs.move(job_id, JobStatus.RUNNING, attempts=1)
            if (job.suffix or "") in self.fails:
                error = {"code": "diverged", "message": "The loss is no number.", "param": None}
                jobs.move(job_id, JobStatus.FAILED, error=error)
                return
            ModelRepository(connection, scope).add(
                job.reserved_model_name,
                base=FAKE_BASE.name,
                base_digest=FAKE_BASE.digest,
                job_id=job_id,
                delta=Delta(f"p/{scope.project_id}/{digest}", digest),
            )
            jobs.move(job_id, JobStatus.SUCCEEDED)


@pytest.fixture
def workplace(
    api: RunningApi, engine: FakeEngine, text_codec: TextCodec, tmp_path: Path, tenant: Tenant
) -> Workplace:
    return Workplace(api, engine, text_codec, tmp_path / "migration", tenant)
