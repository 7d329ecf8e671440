"""A virtual environment for libraries that are oracles and nothing more.

It sees the packages of the running interpreter, so torch and transformers are the very ones that
the engine computes with, and adds those of `requirements/oracles.txt`, without their dependencies.
Made once a version of that file, below the cache folder.
"""

import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from service.core.settings import Settings

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "oracles.txt"


class OracleMissing(Exception):
    """The environment cannot be made here; says why."""


def oracle_python() -> Path:
    """Its interpreter. Raises OracleMissing."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.prefix.encode()).hexdigest()[:12]
    folder = Settings().cache_dir / "oracles" / digest
    python = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        venv.create(folder, with_pip=True, clear=True)
        _see_own_packages(folder)
        _install(python)
        finished.touch()
    return python


def _see_own_packages(folder: Path) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    link = folder / "lib" / version / "site-packages" / "own.pth"
    link.write_text(sysconfig.get_path("purelib") + os.linesep)


def _install(python: Path) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    done = subprocess.run(
        [*map(str, command), "-r", str(REQUIREMENTS)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise OracleMissing(f"pip: {done.stderr.strip()[-400:]}")
