"""The digest of the code is that of every module's name and content."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

from jobs.runner.receipt import code_version

REPOSITORY = Path(__file__).parents[3]
_TELL = "from jobs.runner.receipt import code_version; print(code_version()['code'])"


def told_in(folder: Path) -> str:
    command = [sys.executable, "-c", _TELL]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_code_s_digest_depends_on_every_source_and_not_on_the_place(tmp_path: Path) -> None:
    for package in ("jobs", "service"):
        copytree(REPOSITORY / package, tmp_path / package, ignore=ignore_patterns("__pycache__"))

    assert told_in(tmp_path) == code_version()["code"]

    changed = tmp_path / "service" / "core" / "ids.py"
    changed.write_text(changed.read_text() + "# one line more\n")
    assert told_in(tmp_path) != code_version()["code"]
