"""Engines report themselves, and nobody else does."""

import httpx2
import pytest

from service.core.engine_protocol import EngineRole
from service.core.repositories.registry import RegistryRepository
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.fakes.serving import INTERNAL_TOKEN
from tests.running_api import RunningApi, Tenant


def put(api: RunningApi, engine: FakeEngine, token: str | None, id: str) -> int:
    headers = {"content-type": "application/json"}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    url = f"{api.url}/internal/engines/{id}"
    return httpx2.put(url, content=engine.state().model_dump_json(), headers=headers).status_code


def live(api: RunningApi) -> set[str]:
    with api.database.snapshot() as connection:
        registry = RegistryRepository(connection)
        return {e.id for e in registry.live_engines(base=FAKE_BASE.name, role=EngineRole.SERVE)}


def test_a_report_puts_an_engine_into_the_registry_and_a_farewell_takes_it_out(
    api: RunningApi,
) -> None:
    engine = FakeEngine(id="reporting")

    assert put(api, engine, INTERNAL_TOKEN, "reporting") == 204
    assert "reporting" in live(api)

    headers = {"authorization": f"Bearer {INTERNAL_TOKEN}"}
    assert httpx2.delete(f"{api.url}/internal/engines/reporting", headers=headers).is_success
    assert "reporting" not in live(api)


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_stranger_cannot_report(api: RunningApi, token: str | None) -> None:
    assert put(api, FakeEngine(id="strange"), token, "strange") == 401
    assert "strange" not in live(api)


def test_an_api_key_is_no_internal_token(api: RunningApi, tenant: Tenant) -> None:
    assert put(api, FakeEngine(id="strange"), tenant.key, "strange") == 401


def test_an_engine_reports_only_itself(api: RunningApi) -> None:
    assert put(api, FakeEngine(id="one"), INTERNAL_TOKEN, "another") == 400
