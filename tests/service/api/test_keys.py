"""What a key may do: nothing beyond its scopes, nothing after its end."""

import json

import httpx2
import pytest

from service.api.key_scopes import SUFFICIENT, sufficient_scopes
from service.api.openapi import render_openapi
from service.core.database import Database
from service.core.domain.access import PROJECT_SCOPES, ApiKey, KeyScope
from service.core.repositories.keys import KeyRepository
from service.core.security import hash_api_key, new_api_key
from tests.polling import poll_until
from tests.running_api import RunningApi, Tenant

OPERATIONS = [
    (operation["operationId"], method.upper(), path)
    for path, methods in json.loads(render_openapi())["paths"].items()
    for method, operation in methods.items()
    if "security" in operation
]
IDEMPOTENT = {"name": "x", "url": "https://hooks.example/", "event_types": ["batch.failed"]}


def key_of(database: Database, tenant: Tenant) -> ApiKey:
    with database.snapshot() as connection:
        keys = KeyRepository(connection, tenant.principal.scope.organization_id)
        return keys.get(tenant.principal.key_id)


def test_every_operation_says_which_scopes_open_it() -> None:
    assert {name for name, _, _ in OPERATIONS} == SUFFICIENT.keys()


def test_reading_opens_everything_that_is_read_and_nothing_else() -> None:
    for name, method, _ in OPERATIONS:
        scopes = sufficient_scopes(name)
        assert (KeyScope.READ in scopes) is (method == "GET" and KeyScope.ADMIN not in scopes)


@pytest.mark.parametrize("scope", sorted(KeyScope))
def test_a_key_is_refused_exactly_what_its_scope_does_not_open(
    api: RunningApi, tenant: Tenant, scope: KeyScope
) -> None:
    with api.client(api.new_key(tenant, scope)) as caller:
        refused = set()
        for name, method, path in OPERATIONS:
            answer = caller.request(method, path, json=None if method == "GET" else {})
            if answer.status_code == 403:
                assert answer.json()["error"]["code"] == "insufficient_permissions"
                refused.add(name)

    assert refused == {name for name, _, _ in OPERATIONS if scope not in sufficient_scopes(name)}


def test_scopes_add_up(api: RunningApi, tenant: Tenant) -> None:
    both = api.new_key(tenant, KeyScope.READ, KeyScope.INFERENCE)
    with api.client(both) as caller:
        assert caller.get("/v1/fine_tuning/jobs").status_code == 200
        assert caller.post("/v1/chat/completions", json={}).status_code == 400
        refused = caller.post("/v1/fine_tuning/jobs", json={})
    assert refused.status_code == 403
    assert "needs the scope all or training" in refused.json()["error"]["message"]


def test_no_scope_reads_an_answer_that_was_given_to_another(
    api: RunningApi, tenant: Tenant, http: httpx2.Client
) -> None:
    again = {"headers": {"Idempotency-Key": "a"}, "json": IDEMPOTENT}
    assert http.post("/v1/webhook_endpoints", **again).status_code == 200
    with api.client(api.new_key(tenant, KeyScope.READ)) as reader:
        assert reader.post("/v1/webhook_endpoints", **again).status_code == 403
    assert http.post("/v1/webhook_endpoints", **again).headers["idempotent-replayed"] == "true"


def test_a_key_ends_when_it_was_said_to(api: RunningApi, tenant: Tenant) -> None:
    brief = api.new_key(tenant, KeyScope.ALL, expires_in=1.5)
    with api.client(brief) as caller:
        assert caller.get("/v1/files").status_code == 200
        poll_until(lambda: caller.get("/v1/files").status_code == 401, "the key expires")
        assert caller.get("/v1/files").json()["error"]["code"] == "invalid_api_key"


def test_the_last_use_is_noted_once_a_minute(
    api: RunningApi, tenant: Tenant, http: httpx2.Client
) -> None:
    assert key_of(api.database, tenant).last_used_at is None
    http.get("/v1/files")
    first = key_of(api.database, tenant).last_used_at
    http.get("/v1/files")
    assert first is not None
    assert key_of(api.database, tenant).last_used_at == first


@pytest.mark.parametrize(("keep_old", "old_status"), [(0, 401), (60, 200)])
def test_a_rotated_key_does_what_the_old_one_did(
    api: RunningApi, tenant: Tenant, keep_old: float, old_status: int
) -> None:
    old = api.new_key(tenant, KeyScope.READ, expires_in=3600)
    new_key = new_api_key()
    with api.database.transaction() as connection:
        keys = KeyRepository(connection, tenant.principal.scope.organization_id)
        before = keys.get(old.principal.key_id)
        hashed = hash_api_key(new_key, api.settings)
        new = keys.rotate(before.id, hashed=hashed, last4=new_key[-4:], keep_old=keep_old)

    assert (new.name, new.scopes, new.expires_at) == (before.name, before.scopes, before.expires_at)
    assert new.expires_at is not None
    with api.client(Tenant(tenant.principal, new_key)) as caller, api.client(old) as former:
        assert caller.get("/v1/files").status_code == 200
        assert caller.post("/v1/files").status_code == 403
        assert former.get("/v1/files").status_code == old_status


def test_an_administrators_key_is_no_projects_key() -> None:
    assert KeyScope.ADMIN not in PROJECT_SCOPES
    for name in SUFFICIENT:
        assert sufficient_scopes(name) == {KeyScope.ADMIN} or KeyScope.ADMIN not in (
            sufficient_scopes(name)
        )
