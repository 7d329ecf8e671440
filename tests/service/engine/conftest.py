"""The engines that the contract is held against."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from service.core.engine_client import TrainingClient
from tests.fakes.engine import FakeEngine
from tests.fakes.serving import serve_engine, served_fake
from tests.service.engine.real_engine import BASE, running_engine


@dataclass(frozen=True)
class EngineUnderTest:
    url: str
    token: str
    base: str
    long_answer: int = 100_000
    """More tokens than a stream gets while a test runs."""


@contextmanager
def _fake_engine() -> Iterator[EngineUnderTest]:
    engine = FakeEngine()
    with served_fake(engine) as served:
        yield EngineUnderTest(served.url, served.token, engine.bases[0].name)


@contextmanager
def _real_engine() -> Iterator[EngineUnderTest]:
    with running_engine() as engine, serve_engine(engine) as served:
        yield EngineUnderTest(served.url, served.token, BASE, long_answer=1000)


ENGINES: dict[str, Callable[[], AbstractContextManager[EngineUnderTest]]] = {
    "fake": _fake_engine,
    "real": _real_engine,
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[EngineUnderTest]:
    """One running engine of each kind, over the wire."""
    with ENGINES[request.param]() as under_test:
        yield under_test


@pytest.fixture
def training(engine: EngineUnderTest) -> Iterator[TrainingClient]:
    with TrainingClient(engine.url, internal_token=engine.token) as client:
        yield client
