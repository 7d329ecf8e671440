"""What is needed stays, whatever happened; all else is gone once it is old enough."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import cast

import pytest
from hypothesis import HealthCheck, note
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import update

from jobs.reconciler.collector import Collector
from service.core.database import Database, upgrade
from service.core.domain.access import Scope
from service.core.domain.files import FilePurpose
from service.core.domain.jobs import JobStatus, StartPoint
from service.core.domain.models import Delta
from service.core.domain.work import WorkKind
from service.core.errors import StorageUnavailable
from service.core.ids import new_file_id
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.object_keys import adapter_prefix, attempt_prefix, file_key, state_prefix
from service.core.repositories.access import AccessRepository
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.states import StateRepository
from service.core.repositories.work import WorkRepository
from service.core.storage import ObjectStore
from service.core.tables import jobs, work
from tests.fakes.store import MemoryStore
from tests.jobs.shop import Shop
from tests.service.core.builders import add_job

GRACE = 100
EMPTY_SHA = "0" * 64


@dataclass(frozen=True)
class Stored:
    """A folder with its manifest, as the history knows it."""

    delta: Delta
    own: frozenset[str]
    shared: frozenset[str]

    @property
    def keys(self) -> frozenset[str]:
        return self.own | self.shared


@dataclass
class Job:
    id: str
    scope: Scope
    name: str
    start: Stored | None
    epoch: int = 1
    step: int = 0
    is_over: bool = False
    states: list[Stored] = field(default_factory=list)
    artefacts: dict[str, str] = field(default_factory=dict)
    checkpoints: dict[int, Stored] = field(default_factory=dict)
    model: Stored | None = None

    @property
    def answering(self) -> list[Stored]:
        return [*self.checkpoints.values(), *([self.model] if self.model else [])]


class Histories(RuleBasedStateMachine):
    """Two projects; the second trains models of the first further."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'tunery.db'}"
        upgrade(url)
        self.database = Database(url)
        self.store = MemoryStore()
        self.collector = Collector(
            self.database,
            cast(ObjectStore, self.store),
            grace_seconds=GRACE,
            page=3,
            clock=lambda: self.store.now,
        )
        with self.database.transaction() as connection:
            access = AccessRepository(connection)
            self.scopes = [access.ensure_project("acme", name) for name in ("one", "two")]
        self.files: dict[str, tuple[Scope, str]] = {}
        self.jobs: list[Job] = []
        self.numbers = count()

    def teardown(self) -> None:
        """Everything ends, whatever was trained further is deleted, and time passes: what stands on
        it must be whole, and nothing else be left."""
        for job in self.jobs:
            if not job.is_over:
                self.end(job, is_published=True)
        starts = [job.start.delta for job in self.jobs if job.start]
        for job in self.jobs:
            if job.model and any(stored.delta in starts for stored in job.answering):
                self.delete(job)
        self.store.now += GRACE + 1
        self.collect_all()
        assert set(self.store.objects) == self.needed()
        self.close()

    def close(self) -> None:
        self.database.dispose()
        self.folder.cleanup()

    def collect_all(self) -> None:
        for _ in range(2 * (len(self.store.objects) // 3 + 3) + 2):
            self.collector.round()

    def needed(self) -> frozenset[str]:
        """What some row cannot do without."""
        keys = {key for _, key in self.files.values()}
        for job in self.jobs:
            keys.update(job.artefacts.values())
            keys.update(key for stored in job.answering for key in stored.keys)
            if not job.is_over:
                keys.update(key for stored in job.states for key in stored.keys)
                keys.update(job.start.keys if job.start else ())
        return frozenset(keys)

    def put(self, key: str) -> str:
        self.store.put_bytes(key, b"1")
        return key

    def store_folder(self, job: Job, folder: str, *, is_shared: bool) -> Stored:
        own = {self.put(f"{folder}/weights-{next(self.numbers)}")}
        shared = frozenset[str]()
        if is_shared and job.start:
            shared = frozenset(k for k in job.start.keys if not k.endswith(MANIFEST_NAME))
        files = [ManifestFile(key.rpartition("/")[2], 1, EMPTY_SHA) for key in own]
        files += [ManifestFile(f"s{n}", 1, EMPTY_SHA, key) for n, key in enumerate(sorted(shared))]
        manifest = Manifest("delta", "tiny", "b", job.id, job.step, tuple(files))
        name = f"{folder}/{MANIFEST_NAME}"
        self.store.put_bytes(name, manifest.to_bytes())
        return Stored(Delta(folder, manifest.digest), frozenset(own | {name}), shared)

    @rule(which=st.integers(0, 1), is_entered=st.booleans())
    def upload(self, which: int, is_entered: bool) -> None:
        scope, file_id = self.scopes[which], new_file_id()
        key = self.put(file_key(scope.project_id, file_id))
        if is_entered:
            with self.database.transaction() as connection:
                FileRepository(connection, scope).add(
                    file_id,
                    filename="a",
                    purpose=FilePurpose.FINE_TUNE,
                    bytes=1,
                    sha256=EMPTY_SHA,
                    key=key,
                )
            self.files[file_id] = (scope, key)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete_file(self, data: st.DataObject) -> None:
        file_id = data.draw(st.sampled_from(sorted(self.files)))
        scope, _ = self.files.pop(file_id)
        with self.database.transaction() as connection:
            FileRepository(connection, scope).delete(file_id)

    @initialize()
    def train_one(self) -> None:
        self.enter(self.create(0, None), is_shared=False)

    @precondition(lambda self: any(job.answering for job in self.jobs))
    @rule(which=st.integers(0, 1), data=st.data())
    def train_further(self, which: int, data: st.DataObject) -> None:
        """What it stores shares all files of what it began with."""
        starts = [stored for job in self.jobs for stored in job.answering]
        start = starts[data.draw(st.integers(0, len(starts) - 1))]
        self.enter(self.create(which, start), is_shared=True)

    @rule(which=st.integers(0, 1))
    def create_job(self, which: int) -> None:
        self.create(which, None)

    def create(self, which: int, start: Stored | None) -> Job:
        scope = self.scopes[which]
        point = StartPoint("m", start.delta) if start else None
        with self.database.transaction() as connection:
            row = add_job(connection, scope, start=point)
            WorkRepository(connection).add(
                scope.project_id, WorkKind.TRAINING, row.id, pool="default"
            )
            connection.execute(update(work).where(work.c.subject_id == row.id).values(epoch=1))
            connection.execute(
                update(jobs).where(jobs.c.id == row.id).values(status=JobStatus.RUNNING)
            )
        self.jobs.append(Job(row.id, scope, row.reserved_model_name, start))
        return self.jobs[-1]

    def draw_open(self, data: st.DataObject) -> Job:
        return data.draw(st.sampled_from([job for job in self.jobs if not job.is_over]))

    @precondition(lambda self: any(not job.is_over for job in self.jobs))
    @rule(data=st.data(), is_entered=st.booleans(), is_shared=st.booleans())
    def save(self, data: st.DataObject, is_entered: bool, is_shared: bool) -> None:
        """A state and a checkpoint, which the rows may never hear of."""
        job = self.draw_open(data)
        if is_entered:
            self.enter(job, is_shared=is_shared)
        else:
            self.store_save(job, is_shared=is_shared)

    def store_save(self, job: Job, *, is_shared: bool) -> tuple[Stored, Stored, str]:
        job.step += 1
        place = (job.scope.project_id, job.id, job.epoch, job.step)
        state = self.store_folder(job, state_prefix(*place), is_shared=is_shared)
        adapter = self.store_folder(job, adapter_prefix(*place), is_shared=is_shared)
        rows = self.put(f"{state_prefix(*place)}/rows.json.gz")
        return replace(state, own=state.own | {rows}), adapter, rows

    def enter(self, job: Job, *, is_shared: bool) -> None:
        state, adapter, rows = self.store_save(job, is_shared=is_shared)
        with self.database.transaction() as connection:
            StateRepository(connection, job.scope).add(job.id, step=job.step, place=state.delta)
            JobRepository(connection, job.scope).note_artefacts(job.id, {"rows": rows})
            CheckpointRepository(connection, job.scope).add(
                job.id, tuned_model=job.name, step=job.step, metrics={}, delta=adapter.delta
            )
        job.states.append(state)
        job.artefacts["rows"] = rows
        job.checkpoints[job.step] = adapter

    @precondition(lambda self: any(not job.is_over for job in self.jobs))
    @rule(data=st.data())
    def lose_attempt(self, data: st.DataObject) -> None:
        """The next one begins again at an earlier step."""
        job = self.draw_open(data)
        job.epoch += 1
        job.step = max(0, job.step - 1)
        job.states = [s for s in job.states if f"step-{job.step + 1:06d}" not in s.delta.key]
        with self.database.transaction() as connection:
            mine = update(work).where(work.c.subject_id == job.id)
            connection.execute(mine.values(epoch=job.epoch))
            states = StateRepository(connection, job.scope)
            for state in states.list(job.id):
                if state.step > job.step:
                    states.forget(state)

    @precondition(lambda self: any(not job.is_over for job in self.jobs))
    @rule(data=st.data(), is_published=st.booleans())
    def end_job(self, data: st.DataObject, is_published: bool) -> None:
        self.end(self.draw_open(data), is_published=is_published)

    def end(self, job: Job, *, is_published: bool) -> None:
        job.is_over = True
        status = JobStatus.SUCCEEDED if is_published else JobStatus.FAILED
        with self.database.transaction() as connection:
            WorkRepository(connection).remove(WorkKind.TRAINING, job.id)
            JobRepository(connection, job.scope).move(job.id, status)
            if is_published and job.checkpoints:
                job.model = job.checkpoints[max(job.checkpoints)]
                ModelRepository(connection, job.scope).add(
                    job.name, base="tiny", base_digest="b", job_id=job.id, delta=job.model.delta
                )

    @precondition(lambda self: any(job.model for job in self.jobs))
    @rule(data=st.data())
    def delete_model(self, data: st.DataObject) -> None:
        self.delete(data.draw(st.sampled_from([job for job in self.jobs if job.model])))

    def delete(self, job: Job) -> None:
        with self.database.transaction() as connection:
            ModelRepository(connection, job.scope).delete(job.name)
        job.model, job.checkpoints = None, {}

    @rule(seconds=st.integers(1, GRACE))
    def wait(self, seconds: int) -> None:
        self.store.now += seconds

    @rule()
    def collect(self) -> None:
        young = {k for k, (_, at) in self.store.objects.items() if at > self.store.now - GRACE}
        self.collect_all()
        assert young <= set(self.store.objects)

    @invariant()
    def nothing_needed_is_missing(self) -> None:
        missing = self.needed() - set(self.store.objects)
        note(f"missing: {sorted(missing)}")
        assert not missing


def test_whatever_happens_only_what_nobody_needs_is_deleted() -> None:
    run_state_machine_as_test(
        Histories,
        settings=hypothesis_settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture
def history() -> Iterator[Histories]:
    with closing(Histories()) as opened:
        yield opened


def test_a_damaged_manifest_stops_all_collecting(history: Histories) -> None:
    history.upload(0, is_entered=False)
    with history.database.transaction() as connection:
        ModelRepository(connection, history.scopes[0]).add(
            "ft:a", base="tiny", base_digest="b", job_id=None, delta=Delta("p/elsewhere", "d")
        )
    history.store.put_bytes(f"p/elsewhere/{MANIFEST_NAME}", b"{}")
    history.store.now += GRACE + 1

    with pytest.raises(StorageUnavailable):
        history.collect_all()

    assert len(history.store.objects) == 2


def test_objects_of_a_project_that_the_database_does_not_know_are_left_alone(
    history: Histories,
) -> None:
    history.put(file_key("proj_of_another_database", "file-1"))
    history.store.now += GRACE + 1

    history.collect_all()

    assert len(history.store.objects) == 1


@pytest.mark.usefixtures("engine")
def test_a_trained_model_stays_whole_and_a_lost_attempt_leaves_nothing(
    shop: Shop, object_store: ObjectStore
) -> None:
    job_id = shop.create_job()
    shop.validate(job_id)
    shop.train()
    model = shop.model(job_id)
    assert model is not None
    needed = set(shop.job(job_id).artefacts.values())
    for folder in (model.delta.key, *(point.delta.key for point in shop.checkpoints(job_id))):
        needed |= set(object_store.list_keys(f"{folder}/"))
    lost = attempt_prefix(shop.scope.project_id, job_id, 7) + "step-000001/adapter/weights"
    object_store.put_bytes(lost, b"nobody's")
    tomorrow = time.time() + 86_400
    collector = Collector(shop.database, object_store, grace_seconds=3600, clock=lambda: tomorrow)

    assert collector.round() == 0, "the first round only suspects"
    assert collector.round() > 0

    left = set(object_store.list_keys(f"p/{shop.scope.project_id}/jobs/"))
    assert left == needed
    for file_id in (shop.job(job_id).training_file, *shop.job(job_id).result_files):
        with shop.database.snapshot() as connection:
            file = FileRepository(connection, shop.scope).get(file_id)
        assert object_store.size(file.key) == file.bytes
