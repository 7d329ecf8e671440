"""Environments of clients that cannot live beside the server's own packages.

They are made once from pinned packages and kept below the user's cache folder.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_TOURS = Path(__file__).parent / "tours"
_MINUTES = 10


def python_environment(requirements: str, *, borrows: bool = False) -> Path:
    """The interpreter of an environment with `requirements/NAME.txt`; skips the test if it cannot
    be made. One that `borrows` finds what it lacks, torch above all, where the tests find it."""
    pins = _ROOT / "requirements" / f"{requirements}.txt"
    folder = _folder(requirements, pins.read_bytes() + sys.version.encode())
    interpreter = folder / "bin" / "python"
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run_or_skip([sys.executable, "-m", "venv", str(folder)])
        install = ("-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps")
        _run_or_skip([str(interpreter), *install, "--require-hashes", "-r", str(pins)])
        if borrows:
            (own,) = folder.glob("lib/python*/site-packages")
            (own / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
        (folder / "whole").touch()
    return interpreter


def node_environment() -> Path:
    """A folder in which node finds the official SDK; skips the test if it cannot be made."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} on this machine")
    lock = _TOURS / "package-lock.json"
    folder = _folder("node", lock.read_bytes())
    if not (folder / "whole").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_TOURS / name, folder)
        _run_or_skip(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder)
        (folder / "whole").touch()
    return folder


def _folder(name: str, contents: bytes) -> Path:
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    digest = hashlib.sha256(contents).hexdigest()[:16]
    return caches / "tunery-tests" / f"{name}-{digest}"


def _run_or_skip(command: Sequence[str], *, cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=_MINUTES * 60, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        pytest.skip(f"{' '.join(command[:4])} … failed: {' '.join(last)}")
