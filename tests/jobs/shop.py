"""A service without its api: what the api would write, a fake engine, and a look at the results."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select, update

from jobs.runner.attempt import claim_best, claim_subject, work_on
from jobs.runner.control import AttemptControl
from jobs.runner.resources import Resources
from jobs.runner.training import train_job
from jobs.runner.validation import validate_files
from service.core.database import Database, database_now
from service.core.domain.access import Scope
from service.core.domain.files import FilePurpose
from service.core.domain.integrations import WandbIntegration
from service.core.domain.jobs import (
    Checkpoint,
    FineTuningJob,
    JobEvent,
    JobStatus,
    StartPoint,
)
from service.core.domain.methods import Method
from service.core.domain.models import TunedModel
from service.core.domain.tunings import LoraTuningSpec, TuningSpec
from service.core.domain.work import Claim, WorkKind
from service.core.hyperparameters import Hyperparameters
from service.core.ids import new_file_id, new_job_id, tuned_model_name
from service.core.object_keys import file_key
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.registry import RegistryRepository
from service.core.repositories.work import WorkRepository
from service.core.tables import work
from service.core.text import TextAssets
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.tiny_base import write_tokenizer

BASE = FAKE_BASE.name
SMALL = Hyperparameters(batch_size=4, n_epochs=2)


def chat_line(question: str, answer: str, **message: object) -> str:
    return json.dumps(
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer, **message},
            ]
        }
    )


GOOD_LINES = tuple(chat_line(f"What is {n} + {n}?", f"{2 * n}.") for n in range(12))
OTHER_LINES = tuple(chat_line(f"What is {n} · 2?", f"{2 * n}.") for n in range(5))


@dataclass(frozen=True)
class Shop:
    """One project's view of the database and the object store."""

    resources: Resources
    scope: Scope

    @property
    def database(self) -> Database:
        return self.resources.database

    # What the api does

    def upload(self, lines: Sequence[str]) -> str:
        return self.upload_bytes("".join(f"{line}\n" for line in lines).encode())

    def upload_bytes(self, content: bytes) -> str:
        """A file for training, in whatever format."""
        file_id = new_file_id()
        stored = self.resources.store.put_bytes(file_key(self.scope.project_id, file_id), content)
        with self.database.transaction() as connection:
            FileRepository(connection, self.scope).add(
                file_id,
                filename="rows.jsonl",
                purpose=FilePurpose.FINE_TUNE,
                bytes=stored.bytes,
                sha256=stored.sha256,
                key=stored.key,
            )
        return file_id

    def create_job(
        self,
        lines: Sequence[str] | bytes = GOOD_LINES,
        *,
        validation_lines: Sequence[str] | None = None,
        hyperparameters: Hyperparameters = SMALL,
        base: str = BASE,
        method: Method | None = None,
        tuning: TuningSpec | None = None,
        start: StartPoint | None = None,
        integrations: Sequence[WandbIntegration] = (),
    ) -> str:
        """A job whose files await validation; bytes are a file in some other format."""
        written = isinstance(lines, bytes)
        training_file = self.upload_bytes(lines) if written else self.upload(lines)
        validation_file = None if validation_lines is None else self.upload(validation_lines)
        job_id = new_job_id()
        with self.database.transaction() as connection:
            JobRepository(connection, self.scope).add(
                job_id,
                model=base,
                base=base,
                training_file=training_file,
                validation_file=validation_file,
                suffix="shop",
                seed=7,
                hyperparameters=hyperparameters,
                tuning=tuning or LoraTuningSpec(),
                method=method,
                start=start,
                reserved_model_name=tuned_model_name(base, self.scope.organization, "shop"),
                metadata=None,
                integrations=integrations,
            )
            WorkRepository(connection).add(
                self.scope.project_id,
                WorkKind.VALIDATION,
                job_id,
                pool=self.resources.settings.pool,
            )
        return job_id

    def cancel(self, job_id: str) -> None:
        with self.database.transaction() as connection:
            JobRepository(connection, self.scope).move(job_id, JobStatus.CANCELLED)
            for kind in WorkKind:
                WorkRepository(connection).remove(kind, job_id)

    def pause(self, job_id: str) -> None:
        with self.database.transaction() as connection:
            WorkRepository(connection).hold(WorkKind.TRAINING, job_id)
            JobRepository(connection, self.scope).move(job_id, JobStatus.PAUSED)

    def resume(self, job_id: str) -> None:
        with self.database.transaction() as connection:
            WorkRepository(connection).unhold(WorkKind.TRAINING, job_id)
            assert JobRepository(connection, self.scope).get(job_id).status is JobStatus.PAUSED
            JobRepository(connection, self.scope).move(job_id, JobStatus.QUEUED)

    # What time does

    def end_pauses(self) -> None:
        """All waiting work is due."""
        with self.database.transaction() as connection:
            connection.execute(update(work).values(not_before=database_now() - 1))

    def end_leases(self) -> None:
        """All owners have been silent for too long."""
        with self.database.transaction() as connection:
            connection.execute(update(work).values(lease_until=database_now() - 1))

    # What the tasks do, in this process

    def validate(self, job_id: str) -> FineTuningJob:
        claim = claim_subject(self.resources, WorkKind.VALIDATION, job_id)
        if claim is not None:
            work_on(self.resources, claim, AttemptControl(), validate_files)
        return self.job(job_id)

    def train(self, control: AttemptControl | None = None) -> Claim | None:
        """One attempt at the best queued job."""
        claim = claim_best(self.resources, WorkKind.TRAINING)
        if claim is not None:
            work_on(self.resources, claim, control or AttemptControl(), train_job)
        return claim

    @contextmanager
    def training(self, control: AttemptControl | None = None) -> Iterator[threading.Thread]:
        """An attempt in a thread, which must have ended when the block ends."""
        thread = threading.Thread(target=self.train, args=(control,), name="attempt")
        thread.start()
        try:
            yield thread
        finally:
            thread.join(timeout=30)
            assert not thread.is_alive()

    # What can be seen

    def job(self, job_id: str) -> FineTuningJob:
        with self.database.snapshot() as connection:
            return JobRepository(connection, self.scope).get(job_id)

    def status(self, job_id: str) -> JobStatus:
        return self.job(job_id).status

    def events(self, job_id: str) -> list[JobEvent]:
        """Oldest first."""
        with self.database.snapshot() as connection:
            page = EventRepository(connection, self.scope).list(job_id, after=None, limit=1000)
        return list(reversed(page.items))

    def codes(self, job_id: str) -> list[str]:
        """Of the events that are not metrics, oldest first."""
        return [str(e.data["code"]) for e in self.events(job_id) if e.type == "message"]

    def steps(self, job_id: str) -> list[int]:
        """Of the metrics events, oldest first."""
        return [int(str(e.data["step"])) for e in self.events(job_id) if e.type == "metrics"]

    def checkpoints(self, job_id: str) -> list[Checkpoint]:
        """Oldest first."""
        with self.database.snapshot() as connection:
            page = CheckpointRepository(connection, self.scope).list(job_id, after=None, limit=100)
        return list(reversed(page.items))

    def open_work(self) -> list[str]:
        """Subjects."""
        with self.database.snapshot() as connection:
            return list(connection.execute(select(work.c.subject_id)).scalars())

    def failures(self) -> int:
        """In a row, of the only work there is."""
        with self.database.snapshot() as connection:
            return int(connection.execute(select(work.c.failures)).scalar_one())

    def model(self, job_id: str) -> TunedModel | None:
        with self.database.snapshot() as connection:
            name = JobRepository(connection, self.scope).get(job_id).reserved_model_name
            return ModelRepository(connection, self.scope).find(name)


def publish_base_text(shop_resources: Resources, folder: Path) -> None:
    """What an engine stores when it starts."""
    write_tokenizer(folder)
    assets = TextAssets.from_pretrained_folder(folder)
    shop_resources.store.put_bytes(FAKE_BASE.text_key, assets.to_json().encode())


@contextmanager
def reporting(engine: FakeEngine, database: Database) -> Iterator[None]:
    """Post the engine's state as a live one does."""
    stop = threading.Event()
    reported = threading.Event()

    def report() -> None:
        while True:
            with database.transaction() as connection:
                RegistryRepository(connection).report(engine.state())
            reported.set()
            if stop.wait(1):
                return

    reporter = threading.Thread(target=report, name="engine-reporter")
    reporter.start()
    try:
        assert reported.wait(20)
        yield
    finally:
        stop.set()
        reporter.join()
