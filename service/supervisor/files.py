"""Files in the data directory: private ones, and the lock that keeps a second `up` out."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.core.errors import ConfigurationError


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner may read it, from its first byte on."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def prepare_folder(folder: Path) -> None:
    """Make a folder that only its owner may enter.

    Raises ConfigurationError when it cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = folder / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"The data directory {folder} cannot be written ({error.strerror}): "
            "make it writable, or choose another with --data-dir."
        ) from None


@contextmanager
def private_files() -> Iterator[None]:
    """What this process and its children write meanwhile is their owner's alone."""
    previous = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(previous)


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory; the kernel lets go of it when the holder dies, however it dies.

    Raises ConfigurationError when another process holds it.
    """
    with (data_dir / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another `tunery-server up` ({_holder(lock.fileno())}) runs on {data_dir}: "
                "stop it, or choose another directory with --data-dir."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _holder(descriptor: int) -> str:
    written = os.pread(descriptor, 20, 0).decode()
    return f"process {written}" if written else "a process that is just starting"


def is_held(data_dir: Path) -> bool:
    """Whether an `up` runs on this data directory."""
    try:
        with (data_dir / "up.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
