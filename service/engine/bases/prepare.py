"""From a source to a model folder that loads in a second: converted once a machine, if need be."""

import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.engine.bases.gguf import RECIPE, convert_gguf
from service.engine.bases.sources import FolderSource, digest_of, find_source

logger = logging.getLogger(__name__)

_FOLDER_RECIPE = "folder-1"
_SIZES_NAME = "sizes.json"


@dataclass(frozen=True)
class PreparedBase:
    """A plain model folder and the digest that names it everywhere."""

    folder: Path
    digest: str
    """sha256 over source bytes and recipe, hex."""


def prepare_base(source: str, settings: Settings) -> PreparedBase:
    """Find the source and convert it unless the cache holds the result.

    Safe when several processes start at once: one converts, the others wait for it. Raises
    ConfigurationError for a source that is missing or broken, and for a cache that is not
    writable.
    """
    found = find_source(source)
    if isinstance(found, FolderSource):
        return PreparedBase(found.path, digest_of(found.files, _FOLDER_RECIPE))
    digest = digest_of(found.files, RECIPE)
    folder = settings.cache_dir / "bases" / digest
    if not _is_whole(folder):
        try:
            _convert_once(found.path, folder)
        except OSError as error:
            raise ConfigurationError(
                f"the cache folder {settings.cache_dir} cannot hold a converted base ({error}); "
                "set TUNERY_CACHE_DIR to a writable folder with room"
            ) from error
    return PreparedBase(folder, digest)


def _convert_once(source: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / f"{folder.name}.lock"):
        if _is_whole(folder):  # another process converted it while this one waited
            return
        _remove_remains(folder)
        started = time.monotonic()
        logger.info("converting %s; this happens once a machine", source.name)
        beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            convert_gguf(source, beside)
            _seal(beside)
            os.rename(beside, folder)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        logger.info("converted %s in %.1f s", source.name, time.monotonic() - started)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_remains(folder: Path) -> None:
    """What a killed conversion or a half-emptied cache has left."""
    shutil.rmtree(folder, ignore_errors=True)
    for unfinished in folder.parent.glob(f".{folder.name}.*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def _seal(folder: Path) -> None:
    """Note every file's size, and have all of it on the disk before the rename."""
    sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
    (folder / _SIZES_NAME).write_text(json.dumps(sizes))
    folder.chmod(0o755)
    for file in folder.iterdir():
        with file.open("rb") as written:
            os.fsync(written.fileno())


def _is_whole(folder: Path) -> bool:
    """Cleaners of cache folders delete file by file, so a folder alone proves nothing."""
    try:
        sizes = json.loads((folder / _SIZES_NAME).read_text())
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError):
        return False
