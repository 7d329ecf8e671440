"""The engines that the contract is held against."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import pytest

from service.core.engine_client import TrainingClient
from tests.fakes.engine import FakeEngine
from tests.fakes.serving import served_fake


@dataclass(frozen=True)
class EngineUnderTest:
    url: str
    token: str
    base: str
    long_answer: int = 100_000
    """A number of tokens that no stream reaches while a test runs."""


@contextmanager
def _fake_engine() -> Iterator[EngineUnderTest]:
    engine = FakeEngine()
    with served_fake(engine) as served:
        yield EngineUnderTest(served.url, served.token, engine.bases[0].name)


ENGINES: dict[str, Callable[[], AbstractContextManager[EngineUnderTest]]] = {"fake": _fake_engine}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[EngineUnderTest]:
    """One running engine of each kind, over the wire."""
    with ENGINES[request.param]() as under_test:
        yield under_test


@pytest.fixture
def training(engine: EngineUnderTest) -> Iterator[TrainingClient]:
    with TrainingClient(engine.url, internal_token=engine.token) as client:
        yield client
