from pathlib import Path

import pytest

from tests.service.supervisor.fakes import Run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)
