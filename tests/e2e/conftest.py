import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import ROOT


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder, made in a process of its own so that this one never loads torch."""
    folder = tmp_path_factory.mktemp("bases") / "tiny"
    make = "import sys, pathlib, tests.tiny_base as t; t.build_tiny_base(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", make, str(folder)], check=True, cwd=ROOT)
    return folder
