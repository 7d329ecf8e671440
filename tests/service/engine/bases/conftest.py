"""Small bases of both kinds of source."""

from pathlib import Path

import pytest

from tests.tiny_base import build_tiny_base
from tests.tiny_gguf import write_tiny_gguf


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")


@pytest.fixture(scope="session")
def tiny_gguf(tiny_folder: Path) -> Path:
    return write_tiny_gguf(tiny_folder.parent / "tiny.gguf", tiny_folder)
