"""What `backup` and `restore` do: on the parts that `up` keeps, or on those that were given."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from service.cli.targets import operator_settings
from service.core.backups.place import BackupShelf, open_place
from service.core.backups.record import BackupRecord
from service.core.backups.restoring import restore_backup
from service.core.backups.taking import take_backup
from service.core.database import Database
from service.core.errors import ConfigurationError, NotFound
from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.supervisor.alone import running_alone
from service.supervisor.files import exclusive, prepare_folder, private_files, write_private
from service.supervisor.stack import embedded_s3, resolve
from service.supervisor.state import STATE_FILE, load_or_create_state, load_state


def back_up(address: str) -> BackupRecord:
    """Raises ConfigurationError, and StorageUnavailable while `up` does not run."""
    given, settings = Settings.from_environment(), operator_settings()
    with private_files(), _database(settings) as database:
        return take_backup(
            database,
            ObjectStore.from_settings(settings),
            BackupShelf(open_place(address, settings)),
            state_file=None if given.is_given("database_url") else given.data_dir / STATE_FILE,
            programs=settings.postgres_programs,
        )


def put_back(address: str, name: str | None) -> BackupRecord:
    """Raises ConfigurationError, BackupDamaged, NotFound where there is no backup."""
    given = Settings.from_environment()
    shelf = BackupShelf(open_place(address, given))
    record = shelf.find(name) if name else shelf.latest()
    if record is None:
        raise NotFound(f"There is no backup in {address}.")
    data_dir = given.data_dir.expanduser().absolute()
    given = given.model_copy(update={"data_dir": data_dir})
    with private_files():
        if given.is_given("database_url") and given.is_given("s3_"):
            _restore(given, shelf, record)
        else:
            prepare_folder(data_dir)
            with exclusive(data_dir):
                _restore_embedded(given, shelf, record)
    return record


def _restore_embedded(given: Settings, shelf: BackupShelf, record: BackupRecord) -> None:
    """Parts that nobody gave are those of the data directory; its S3 runs meanwhile."""
    if record.state is not None:
        _put_state(given.data_dir, shelf, record)
    state = load_or_create_state(given.data_dir)
    settings = resolve(given, state)
    s3 = None if given.is_given("s3_") else embedded_s3(given, settings, state)
    log = given.data_dir / "logs" / "s3.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with nullcontext() if s3 is None else running_alone(s3, log):
        _restore(settings, shelf, record)


def _put_state(data_dir: Path, shelf: BackupShelf, record: BackupRecord) -> None:
    """One that is there must be this one: a restoration that was cut short goes on."""
    assert record.state is not None
    with tempfile.TemporaryFile() as file:
        shelf.fetch(record.state, file)
        file.seek(0)
        content = file.read().decode()
    found = load_state(data_dir)
    if found is None:
        write_private(data_dir / STATE_FILE, content)
    elif found.key_pepper != json.loads(content)["key_pepper"]:
        raise ConfigurationError(
            f"{data_dir} belongs to another installation: restore into an empty directory."
        )


def _restore(settings: Settings, shelf: BackupShelf, record: BackupRecord) -> None:
    with _database(settings) as database:
        store = ObjectStore.from_settings(settings)
        restore_backup(database, store, shelf, record, programs=settings.postgres_programs)


@contextmanager
def _database(settings: Settings) -> Iterator[Database]:
    database = Database(settings.database_url)
    try:
        yield database
    finally:
        database.dispose()
