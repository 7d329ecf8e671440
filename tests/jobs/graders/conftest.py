"""An api with a fake engine behind it, and rewards that ask it."""

from collections.abc import Iterator

import pytest

from jobs.graders.rewards import Rewards
from service.core.text import TextCodec
from tests.a_sandbox import sandbox
from tests.api_fixtures import api, engine, tenant, text_codec
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant

__all__ = ["api", "engine", "sandbox", "tenant", "text_codec"]


@pytest.fixture
def judge(api: RunningApi, tenant: Tenant, engine: FakeEngine, text_codec: TextCodec) -> str:
    """A model of `tenant` that always answers with the same score."""
    engine.answers["8" * 64] = text_codec.encode('{"score": 0.25}')
    name = f"ft:{FAKE_BASE.name}:{tenant.principal.scope.organization}:judge:00000000"
    api.publish_model(tenant, name, "8" * 64)
    return name


@pytest.fixture
def rewards(api: RunningApi, tenant: Tenant) -> Iterator[Rewards]:
    settings = api.settings.model_copy(update={"api_url": api.url})
    with Rewards(settings, api.database, tenant.principal.scope.project_id) as opened:
        yield opened
