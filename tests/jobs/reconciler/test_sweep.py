"""What has expired leaves the answers at once and the object store with the next sweep."""

import io

import pytest
from sqlalchemy import update

from jobs.reconciler.sweep import Sweeper
from service.core.database import database_now
from service.core.domain.files import FilePurpose, UploadStatus
from service.core.domain.jobs import JobStatus
from service.core.errors import FileNotFound
from service.core.ids import new_part_id, new_upload_id
from service.core.object_keys import upload_key, upload_prefix
from service.core.repositories.files import FileRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.uploads import UploadRepository
from service.core.storage import ObjectNotFound, ObjectStore
from service.core.tables import files, uploads
from tests.jobs.shop import GOOD_LINES, Shop


@pytest.fixture
def sweeper(shop: Shop, object_store: ObjectStore) -> Sweeper:
    return Sweeper(shop.database, object_store)


def expire(shop: Shop, file_id: str) -> None:
    with shop.database.transaction() as connection:
        past = update(files).where(files.c.id == file_id)
        connection.execute(past.values(expires_at=database_now() - 1))


def key_of(shop: Shop, file_id: str) -> str:
    with shop.database.snapshot() as connection:
        return FileRepository(connection, shop.scope).get_in_use(file_id).key


def test_an_expired_file_is_gone_with_its_object(
    shop: Shop, sweeper: Sweeper, object_store: ObjectStore
) -> None:
    expired, kept = shop.upload(GOOD_LINES), shop.upload(GOOD_LINES)
    key = key_of(shop, expired)
    expire(shop, expired)
    with shop.database.snapshot() as connection:
        repository = FileRepository(connection, shop.scope)
        page = repository.list(purpose=None, after=None, limit=9, ascending=False)
        with pytest.raises(FileNotFound):
            repository.get(expired)
    assert [file.id for file in page.items] == [kept]

    sweeper.sweep()

    with pytest.raises(ObjectNotFound):
        object_store.size(key)
    assert object_store.size(key_of(shop, kept))
    with pytest.raises(FileNotFound):
        key_of(shop, expired)


def test_a_file_that_an_unfinished_job_reads_outlives_its_time(
    shop: Shop, sweeper: Sweeper
) -> None:
    job_id = shop.create_job()
    file_id = shop.job(job_id).training_file
    expire(shop, file_id)

    sweeper.sweep()
    assert key_of(shop, file_id)

    with shop.database.transaction() as connection:
        JobRepository(connection, shop.scope).move(job_id, JobStatus.CANCELLED)
    sweeper.sweep()
    with pytest.raises(FileNotFound):
        key_of(shop, file_id)


def test_an_upload_past_its_time_is_expired_and_leaves_nothing(
    shop: Shop, sweeper: Sweeper, object_store: ObjectStore
) -> None:
    upload_id, part_id, project = new_upload_id(), new_part_id(), shop.scope.project_id
    stored = object_store.put_stream(upload_key(project, upload_id, part_id), io.BytesIO(b"part"))
    with shop.database.transaction() as connection:
        repository = UploadRepository(connection, shop.scope)
        repository.add(
            upload_id, filename="a", purpose=FilePurpose.BATCH, bytes=9, file_seconds=None
        )
        repository.add_part(part_id, upload_id, bytes=4, sha256=stored.sha256, key=stored.key)
    sweeper.sweep()
    assert object_store.get_bytes(stored.key) == b"part"

    with shop.database.transaction() as connection:
        connection.execute(update(uploads).values(expires_at=database_now() - 3600))
    sweeper.sweep()

    with shop.database.snapshot() as connection:
        repository = UploadRepository(connection, shop.scope)
        assert repository.get(upload_id).status is UploadStatus.EXPIRED
        assert repository.list_parts(upload_id) == []
    assert list(object_store.list_keys(upload_prefix(project, upload_id))) == []
