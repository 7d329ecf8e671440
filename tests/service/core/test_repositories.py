"""Repositories: pages are complete, cursors strict, and nobody sees another project's rows."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.core.database import Database
from service.core.domain.access import Scope
from service.core.domain.files import FilePurpose
from service.core.domain.jobs import JobStatus, NewEvent
from service.core.domain.models import Delta
from service.core.engine_protocol import BaseState, EngineRole, EngineState
from service.core.errors import (
    FileInUse,
    FileNotFound,
    InvalidCursor,
    JobNotFound,
    ModelNotFound,
)
from service.core.repositories.access import AccessRepository
from service.core.repositories.aliases import AliasRepository
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.keys import KeyRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.registry import RegistryRepository
from tests.service.core.builders import add_job


@pytest.fixture
def stranger(database: Database) -> Scope:
    with database.transaction() as connection:
        return AccessRepository(connection).ensure_default_project("stranger")


def engine_state(*names: str) -> EngineState:
    bases = tuple(
        BaseState(
            name=name,
            digest=f"digest-{name}",
            text_key=f"bases/{name}/text.json",
            context_length=128,
            parameters=1,
            dtype="float32",
        )
        for name in names
    )
    return EngineState(
        id="engine-0",
        url="http://127.0.0.1:1",
        pool="default",
        roles=(EngineRole.TRAIN, EngineRole.SERVE),
        bases=bases,
        free_slots=8,
        loaded_adapters=(),
        active_streams=0,
    )


def test_pages_together_give_every_job_once_newest_first(database: Database, scope: Scope) -> None:
    with database.transaction() as connection:
        made = [add_job(connection, scope).id for _ in range(7)]
        repository = JobRepository(connection, scope)
        seen: list[str] = []
        after = None
        while True:
            page = repository.list(after=after, limit=3)
            seen += [job.id for job in page.items]
            if not page.has_more:
                break
            after = page.items[-1].id

    assert sorted(seen) == sorted(made)
    assert len(seen) == 7


def test_a_cursor_that_is_not_in_the_list_is_refused(
    database: Database, scope: Scope, stranger: Scope
) -> None:
    with database.transaction() as connection:
        foreign = add_job(connection, stranger).id
        for cursor in ("ftjob-nothing", foreign):
            with pytest.raises(InvalidCursor):
                JobRepository(connection, scope).list(after=cursor, limit=3)


@pytest.mark.parametrize("key", ["customer", "a.b", 'with "quotes"', "$[0]", "ключ"])
def test_jobs_are_found_by_metadata_whatever_the_key_looks_like(
    database: Database, scope: Scope, key: str
) -> None:
    with database.transaction() as connection:
        wanted = add_job(connection, scope, metadata={key: "x"}).id
        add_job(connection, scope, metadata={key: "y"})
        add_job(connection, scope)
        page = JobRepository(connection, scope).list(after=None, limit=9, metadata={key: "x"})

        bare = JobRepository(connection, scope).list(after=None, limit=9, without_metadata=True)

    assert [job.id for job in page.items] == [wanted]
    assert [job.metadata for job in bare.items] == [None]


def test_another_projects_rows_are_missing_rows(
    database: Database, scope: Scope, stranger: Scope
) -> None:
    with database.transaction() as connection:
        job = add_job(connection, scope)
        FileRepository(connection, scope).add(
            "file-1", filename="a", purpose=FilePurpose.FINE_TUNE, bytes=1, sha256="", key="k"
        )
        ModelRepository(connection, scope).add(
            "ft:m", base="tiny", base_digest="d", job_id=job.id, delta=Delta("k", "d")
        )
        CheckpointRepository(connection, scope).add(
            job.id, tuned_model="ft:m", step=1, metrics={}, delta=Delta("k", "d")
        )
        EventRepository(connection, scope).append(job.id, [NewEvent("hello")])

        assert JobRepository(connection, stranger).list(after=None, limit=9).items == ()
        assert EventRepository(connection, stranger).list(job.id, after=None, limit=9).items == ()
        assert ModelRepository(connection, stranger).list() == []
        with pytest.raises(JobNotFound):
            JobRepository(connection, stranger).get(job.id)
        with pytest.raises(JobNotFound):
            JobRepository(connection, stranger).move(job.id, JobStatus.CANCELLED)
        with pytest.raises(FileNotFound):
            FileRepository(connection, stranger).get("file-1")
        with pytest.raises(FileNotFound):
            FileRepository(connection, stranger).delete("file-1")
        for name in ("ft:m", "ft:m:ckpt-step-1"):
            with pytest.raises(ModelNotFound):
                ModelRepository(connection, stranger).resolve(name)
        with pytest.raises(ModelNotFound):
            ModelRepository(connection, stranger).delete("ft:m")


def test_events_come_newest_first_in_the_order_they_were_written(
    database: Database, scope: Scope
) -> None:
    with database.transaction() as connection:
        job = add_job(connection, scope)
        repository = EventRepository(connection, scope)
        repository.append(job.id, [NewEvent(f"{n}") for n in range(5)])
        repository.append(job.id, [NewEvent("5")])
        first = repository.list(job.id, after=None, limit=4)
        second = repository.list(job.id, after=first.items[-1].id, limit=4)

    assert [event.message for event in first.items + second.items] == list("543210")
    assert (first.has_more, second.has_more) == (True, False)


def test_a_file_that_an_unfinished_job_reads_is_kept(database: Database, scope: Scope) -> None:
    with database.transaction() as connection:
        repository = FileRepository(connection, scope)
        repository.add(
            "file-train", filename="a", purpose=FilePurpose.FINE_TUNE, bytes=1, sha256="", key="k"
        )
        job = add_job(connection, scope)
        with pytest.raises(FileInUse):
            repository.delete("file-train")
        JobRepository(connection, scope).move(job.id, JobStatus.CANCELLED)
        repository.delete("file-train")
        with pytest.raises(FileNotFound):
            repository.get("file-train")


def test_a_name_means_a_base_a_tuned_model_or_a_checkpoint(
    database: Database, scope: Scope
) -> None:
    with database.transaction() as connection:
        RegistryRepository(connection).report(engine_state("tiny", "org/with-slash"))
        job = add_job(connection, scope)
        models = ModelRepository(connection, scope)
        models.add("ft:m", base="tiny", base_digest="d", job_id=job.id, delta=Delta("final", "d1"))
        CheckpointRepository(connection, scope).add(
            job.id, tuned_model="ft:m", step=7, metrics={}, delta=Delta("early", "d2")
        )

        assert models.resolve("org/with-slash").delta is None
        assert models.resolve("ft:m").delta == Delta("final", "d1")
        assert models.resolve("ft:m:ckpt-step-7").delta == Delta("early", "d2")
        with pytest.raises(ModelNotFound):
            models.resolve("ft:m:ckpt-step-8")


def test_deleting_a_model_takes_its_checkpoints_along(database: Database, scope: Scope) -> None:
    with database.transaction() as connection:
        RegistryRepository(connection).report(engine_state("tiny"))
        job = add_job(connection, scope)
        models = ModelRepository(connection, scope)
        models.add("ft:m", base="tiny", base_digest="d", job_id=job.id, delta=Delta("k", "d"))
        CheckpointRepository(connection, scope).add(
            job.id, tuned_model="ft:m", step=7, metrics={}, delta=Delta("k", "d")
        )
        models.delete("ft:m")

        for name in ("ft:m", "ft:m:ckpt-step-7"):
            with pytest.raises(ModelNotFound):
                models.resolve(name)


def test_bases_keep_the_operators_order_and_engines_that_left_are_not_live(
    database: Database,
) -> None:
    with database.transaction() as connection:
        registry = RegistryRepository(connection)
        registry.report(engine_state("zeta", "alpha"))
        registry.report(engine_state("zeta", "alpha"))

        assert [base.name for base in registry.list_bases()] == ["zeta", "alpha"]
        assert len(registry.live_engines(base="alpha", role=EngineRole.TRAIN)) == 1
        assert registry.live_engines(base="other", role=EngineRole.TRAIN) == []

        registry.forget_engine("engine-0")
        assert registry.live_engines(base="alpha", role=EngineRole.TRAIN) == []
        assert [base.name for base in registry.list_bases()] == ["zeta", "alpha"]


def test_a_revoked_key_opens_nothing(database: Database, scope: Scope) -> None:
    with database.transaction() as connection:
        access = AccessRepository(connection)
        key_id = access.add_key(scope.project_id, name="k", hashed="h", last4="1234")
        principal = access.find_principal("h")
        assert principal is not None
        assert principal.scope == scope
        KeyRepository(connection, scope.organization_id).revoke(key_id)
        assert access.find_principal("h") is None
        assert access.find_principal("other") is None


def test_aliases_set_at_once_are_one_and_the_later_one_holds(
    database: Database, scope: Scope
) -> None:
    targets = [f"target-{number}" for number in range(4)]

    def point(target: str) -> None:
        with database.transaction() as connection:
            AliasRepository(connection, scope).set("prod", target)

    with ThreadPoolExecutor(len(targets)) as threads:
        list(threads.map(point, targets))

    with database.snapshot() as connection:
        page = AliasRepository(connection, scope).list(after=None, limit=10)
    assert [alias.name for alias in page.items] == ["prod"]
    assert page.items[0].target in targets
