"""An organisation is run by its administrators' keys, through OpenAI's client, and by no others."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from sqlalchemy import select

from service.api.openapi import render_openapi
from service.core.domain.access import KeyScope
from service.core.domain.audit import first_break
from service.core.repositories.audit import ChainRepository
from service.core.tables import api_keys
from tests.running_api import RunningApi, Tenant

ROOT = "/v1/organization"
OPERATIONS = {
    operation["operationId"]: (method.upper(), path)
    for path, methods in json.loads(render_openapi())["paths"].items()
    for method, operation in methods.items()
    if path.startswith(f"{ROOT}/")
}
BODIES: dict[str, dict[str, object]] = {
    "create_project": {"name": "another"},
    "modify_project": {"name": "renamed"},
    "modify_project_rate_limit": {"max_queued_jobs": 7},
    "create_project_api_key": {"name": "ci", "scopes": ["read"]},
    "create_admin_api_key": {"name": "deputy"},
}
LOGGED = {
    "create_project": "project.created",
    "modify_project": "project.updated",
    "archive_project": "project.archived",
    "modify_project_rate_limit": "rate_limit.updated",
    "create_project_api_key": "api_key.created",
    "rotate_project_api_key": "api_key.rotated",
    "delete_project_api_key": "api_key.deleted",
    "create_admin_api_key": "api_key.created",
    "delete_admin_api_key": "api_key.deleted",
}


@pytest.fixture
def admin(api: RunningApi, tenant: Tenant) -> Tenant:
    return api.new_key(tenant, KeyScope.ADMIN)


@pytest.fixture
def console(api: RunningApi, admin: Tenant) -> Iterator[httpx2.Client]:
    with api.client(admin) as client:
        yield client


@pytest.fixture
def organization(api: RunningApi, admin: Tenant) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, with an administrator's key."""
    with openai.OpenAI(
        base_url=f"{api.url}/v1", api_key="unused", admin_api_key=admin.key, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def ids(console: httpx2.Client) -> dict[str, str]:
    """Of a project with a key, and of an administrator's key."""
    project = console.post(f"{ROOT}/projects", json={"name": "side"}).json()["id"]
    key = console.post(f"{ROOT}/projects/{project}/api_keys", json={"name": "k"}).json()
    return {
        "project_id": project,
        "api_key_id": key["id"],
        "key_id": console.post(f"{ROOT}/admin_api_keys", json={"name": "k"}).json()["id"],
        "rate_limit_id": "rl-all",
        "value": key["value"],
    }


def sent(client: httpx2.Client, operation: str, ids: dict[str, str]) -> httpx2.Response:
    method, path = OPERATIONS[operation]
    return client.request(method, path.format(**ids), json=BODIES.get(operation))


def newest(console: httpx2.Client) -> dict[str, Any]:
    entry: dict[str, Any] = console.get(f"{ROOT}/audit_logs").json()["data"][0]
    return entry


def opens(api: RunningApi, tenant: Tenant, value: str) -> bool:
    with api.client(Tenant(tenant.principal, value)) as client:
        return client.get("/v1/files").status_code == 200


def test_projects_through_openais_client(
    organization: openai.OpenAI, api: RunningApi, tenant: Tenant
) -> None:
    projects = organization.admin.organization.projects
    made = projects.create(name="research")
    assert (made.object, made.status, made.name) == ("organization.project", "active", "research")
    assert projects.update(made.id, name="science").name == "science"
    assert projects.retrieve(made.id).name == "science"
    assert [project.name for project in projects.list(limit=1)] == ["science", "default"]
    with pytest.raises(openai.BadRequestError) as taken:
        projects.create(name="science")
    assert (taken.value.code, taken.value.param) == ("name_taken", "name")

    assert projects.archive(made.id).status == "archived"

    assert [project.id for project in projects.list()] == [tenant.principal.scope.project_id]
    assert made.id in [project.id for project in projects.list(include_archived=True)]
    with pytest.raises(openai.BadRequestError, match="archived"):
        projects.update(made.id, name="again")
    with pytest.raises(openai.BadRequestError, match="first project"):
        projects.archive(tenant.principal.scope.project_id)


def test_keys_through_openais_client(
    organization: openai.OpenAI, console: httpx2.Client, ids: dict[str, str]
) -> None:
    keys = organization.admin.organization.projects.api_keys
    (listed,) = keys.list(ids["project_id"])
    assert listed.id == ids["api_key_id"]
    assert ids["value"] not in listed.to_json()
    assert listed.redacted_value.endswith(ids["value"][-4:])
    found = keys.retrieve(ids["api_key_id"], project_id=ids["project_id"])
    assert (found.name, found.owner_project_access) == ("k", "active")
    assert keys.delete(ids["api_key_id"], project_id=ids["project_id"]).deleted
    assert list(keys.list(ids["project_id"])) == []

    admins = organization.admin.organization.admin_api_keys
    made = admins.create(name="deputy", expires_in_seconds=60)
    assert made.value.startswith("sk-ft-admin-")
    assert made.expires_at is not None
    assert made.id in [key.id for key in admins.list()]
    assert admins.retrieve(made.id).name == "deputy"
    assert admins.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        admins.retrieve(made.id)


def test_a_key_has_the_scopes_it_was_made_with_and_passes_them_on(
    api: RunningApi, tenant: Tenant, console: httpx2.Client, ids: dict[str, str]
) -> None:
    keys = f"{ROOT}/projects/{ids['project_id']}/api_keys"
    made = console.post(keys, json={"name": "ci", "scopes": ["inference"]}).json()
    rotated = console.post(f"{keys}/{made['id']}/rotate", json={"keep_old_for_seconds": 60}).json()

    assert made["scopes"] == rotated["scopes"] == ["inference"]
    for value in (made["value"], rotated["value"]):
        with api.client(Tenant(tenant.principal, value)) as client:
            assert client.get("/v1/fine_tuning/jobs").status_code == 403
            assert client.get("/v1/files").status_code == 200


@pytest.mark.parametrize("end", ["archive_project", "delete_project_api_key"])
def test_a_key_ends_at_once(
    api: RunningApi, tenant: Tenant, console: httpx2.Client, ids: dict[str, str], end: str
) -> None:
    assert opens(api, tenant, ids["value"])
    assert sent(console, end, ids).status_code == 200
    assert not opens(api, tenant, ids["value"])


def test_no_key_is_stored(
    api: RunningApi, console: httpx2.Client, ids: dict[str, str], admin: Tenant
) -> None:
    again = {"Idempotency-Key": "a"}
    path = f"{ROOT}/projects/{ids['project_id']}/api_keys"
    first, second = (console.post(path, json={"name": "k"}, headers=again) for _ in range(2))

    assert first.json()["value"] != second.json()["value"]
    with api.database.snapshot() as connection:
        rows = str(connection.execute(select(api_keys)).all())
    for value in (first.json()["value"], second.json()["value"], ids["value"], admin.key):
        assert value not in rows


def test_the_audit_log_through_openais_client(
    organization: openai.OpenAI, admin: Tenant, ids: dict[str, str], http: httpx2.Client
) -> None:
    http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a", b"{}")})
    logs = organization.admin.organization.audit_logs

    def types(**wanted: object) -> list[str]:
        return [str(entry.type) for entry in logs.list(limit=1, **wanted)]  # type: ignore[arg-type]

    everything = ["file.uploaded", "api_key.created", "api_key.created", "project.created"]
    assert types() == everything
    assert types(event_types=["project.created", "file.uploaded"]) == [
        "file.uploaded",
        "project.created",
    ]
    assert types(project_ids=[ids["project_id"]]) == ["api_key.created", "project.created"]
    assert types(actor_ids=[admin.principal.key_id]) == everything[1:]
    assert types(resource_ids=[ids["key_id"]]) == ["api_key.created"]
    newest = next(iter(logs.list())).effective_at
    assert types(effective_at={"gt": newest}) == []
    assert types(effective_at={"gte": 0, "lte": newest}) == everything
    (made,) = logs.list(event_types=["project.created"])
    assert made.actor is not None
    assert made.actor.api_key is not None
    assert made.actor.api_key.id == admin.principal.key_id
    assert made.project_created is not None
    assert made.project_created.id == ids["project_id"]


def test_the_audit_log_is_paged_both_ways(console: httpx2.Client, ids: dict[str, str]) -> None:
    path = f"{ROOT}/audit_logs"
    whole = [entry["id"] for entry in console.get(path).json()["data"]]
    last = console.get(path, params={"before": whole[-1], "limit": 1}).json()
    both = console.get(path, params={"before": whole[0], "after": whole[1]})

    assert [entry["id"] for entry in last["data"]] == [whole[-2]]
    assert last["has_more"]
    assert both.status_code == 400
    assert console.get(path, params={"actor_emails[]": "a"}).json()["error"]["code"] == (
        "unsupported_parameter"
    )


def test_a_limit_holds_from_the_next_request_on(
    organization: openai.OpenAI, api: RunningApi, tenant: Tenant, ids: dict[str, str]
) -> None:
    limits = organization.admin.organization.projects.rate_limits
    (before,) = limits.list_rate_limits(ids["project_id"])
    assert before.max_requests_per_1_minute == api.settings.requests_per_minute

    changed = limits.update_rate_limit(
        before.id, project_id=ids["project_id"], max_requests_per_1_minute=2
    )

    assert (changed.max_requests_per_1_minute, changed.max_tokens_per_1_minute) == (
        2,
        api.settings.tokens_per_minute,
    )
    with api.client(Tenant(tenant.principal, ids["value"])) as client:
        answers = [client.get("/v1/files") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"


@pytest.mark.parametrize("operation", sorted(OPERATIONS))
def test_an_administrator_of_another_organisation_finds_nothing(
    api: RunningApi, ids: dict[str, str], operation: str
) -> None:
    with api.client(api.new_key(api.new_tenant(), KeyScope.ADMIN)) as stranger:
        answer = sent(stranger, operation, ids)
        _, path = OPERATIONS[operation]
        if "{" in path:
            name = path[path.index("{") + 1 : path.index("}")]
            missing = sent(stranger, operation, ids | {name: "nothing"})
            assert answer.status_code == missing.status_code == 404
            expected = missing.json()["error"]["message"].replace("nothing", ids[name])
            assert answer.json()["error"]["message"] == expected
        else:
            assert answer.status_code == 200
            assert not any(id_ in answer.text for id_ in ids.values() if id_ != "rl-all")


def test_a_key_is_found_in_its_own_project_only(
    console: httpx2.Client, ids: dict[str, str], tenant: Tenant
) -> None:
    elsewhere = ids | {"project_id": tenant.principal.scope.project_id}
    swapped = ids | {"api_key_id": ids["key_id"], "key_id": ids["api_key_id"]}
    for operation, (_, path) in OPERATIONS.items():
        if "_key_id}" in path or "{key_id}" in path:
            if "project_id" in path:
                assert sent(console, operation, elsewhere).status_code == 404
            assert sent(console, operation, swapped).status_code == 404


@pytest.mark.parametrize(
    "operation", sorted(name for name, (method, _) in OPERATIONS.items() if method != "GET")
)
def test_every_change_is_logged_where_it_was_made(
    api: RunningApi,
    console: httpx2.Client,
    admin: Tenant,
    ids: dict[str, str],
    operation: str,
) -> None:
    before = newest(console)

    assert sent(console, operation, ids).status_code == 200

    entry = newest(console)
    assert entry["id"] != before["id"]
    assert entry["type"] == LOGGED[operation]
    assert entry["actor"]["api_key"]["id"] == admin.principal.key_id
    project_id = entry["project"]["id"]
    if "{project_id}" in OPERATIONS[operation][1]:
        assert project_id == ids["project_id"]
    with api.database.snapshot() as connection:
        chains = ChainRepository(connection)
        assert first_break(chains.entries(project_id), chains.heads()[project_id]) is None
