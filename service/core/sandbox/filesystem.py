"""An empty root: Python's own library and the system's shared libraries to read, and a small /tmp.

Nothing else of the machine is there: no /proc, no /dev, no /etc, no home, no source of ours.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from service.core.sandbox.linux import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    make_read_only,
    mount,
    pivot_root,
    unmount,
)

PACKAGES = "/packages"
_STAGE, _OLD = "/tmp", "/.old"  # where the new root is built, and where the old one lies meanwhile
_LIBRARIES = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
_INSTALLED = ("site-packages", "dist-packages")
_ROOT_OPTIONS = "size=1m,nr_inodes=1k,mode=755"
_TMP_OPTIONS = "size=64m,nr_inodes=4k,mode=1777"


def enter_empty_root(packages: str | None) -> None:
    """`packages`: a folder that appears as PACKAGES. Raises OSError."""
    shown = {path: os.path.realpath(path) for path in (*_LIBRARIES, *_standard_library())}
    if packages is not None:
        shown[PACKAGES] = os.path.realpath(packages)
    links = {path: os.readlink(path) for path in _LIBRARIES if os.path.islink(path)}

    os.umask(0o022)  # whatever the service's own is: nobody has to find a way through the folders
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", _STAGE, "tmpfs", MS_NOSUID | MS_NODEV, _ROOT_OPTIONS)
    os.mkdir(_STAGE + _OLD)
    pivot_root(_STAGE, _STAGE + _OLD)
    os.chdir("/")
    for path, target in links.items():
        os.symlink(target, path)
    for path, source in shown.items():
        _show(_OLD + source, path)
    _hide_installed()
    unmount(_OLD)
    os.rmdir(_OLD)
    os.mkdir("/tmp")
    make_read_only("/", recursive=False)
    mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, _TMP_OPTIONS)
    os.chdir("/tmp")


def _standard_library() -> Sequence[str]:
    """Where this interpreter, started without site-packages, finds its modules."""
    return [path for path in sys.path if path and not path.endswith(".zip")]


def _show(source: str, target: str) -> None:
    """Read-only, unless it is missing or seen already as a part of something else."""
    if os.path.isdir(source) and not os.path.isdir(target):
        os.makedirs(target, exist_ok=True)
        mount(source, target, None, MS_BIND | MS_REC)
        make_read_only(target, recursive=True)


def _hide_installed() -> None:
    """What pip has installed for the service is no business of a stranger's."""
    folders = [Path(path) for path in (*_standard_library(), "/usr/lib/python3")]
    for folder in (folder / name for folder in folders for name in _INSTALLED):
        if folder.is_dir():
            mount("tmpfs", str(folder), "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,mode=555")
