"""A tiny base in memory, and the means to store adapters of it."""

import uuid
from pathlib import Path

import pytest

from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.engine.bases import load_base
from service.engine.parts import LoadedBase
from tests.service.engine.adapters.builders import AdapterShelf
from tests.tiny_base import build_tiny_base


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> LoadedBase:
    folder: Path = build_tiny_base(tmp_path_factory.mktemp("bases") / "tiny")
    return load_base("tiny", str(folder), Settings(engine_dtype="float32", engine_device="cpu"))


@pytest.fixture
def shelf(object_store: ObjectStore, tiny_base: LoadedBase) -> AdapterShelf:
    """Empty, under a prefix of its own."""
    return AdapterShelf(object_store, tiny_base, prefix=f"adapters/{uuid.uuid4().hex}/")
