"""A project sees nothing of another's: foreign ids answer exactly like missing ones."""

import httpx2
import pytest

from service.api.app import create_app
from service.core.domain.webhooks import WebhookEventType
from service.core.ledger import Ledger
from service.core.object_keys import job_prefix
from service.core.repositories.deliveries import emit
from service.core.repositories.jobs import JobRepository
from service.core.settings import Settings
from service.core.storage import ObjectStore
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.running_api import RunningApi, Tenant

ROUTES = sorted(
    (method.upper(), path)
    for path, operations in create_app(Settings()).openapi()["paths"].items()
    for method in operations
    if "{" in path and not path.startswith("/v1/organization/")  # test_organization.py
)

BODIES: dict[str, dict[str, object]] = {
    "/v1/chat/completions/{completion_id}": {"metadata": None},
    "/v1/webhook_endpoints/{webhook_endpoint_id}": {"name": "renamed"},
    "/v1/uploads/{upload_id}/complete": {"part_ids": ["part_1"]},
    "/v1/models/{model}/exports": {"format": "peft"},
    "/v1/fine_tuning/jobs/{fine_tuning_job_id}/verifications": {"steps": 3},
    "/v1/webhook_endpoints/{webhook_endpoint_id}/test": {"event_type": "batch.completed"},
}
"""What operations that need a body are sent."""


REFUSED = {
    ("DELETE", "/v1/files/{file_id}"),  # the job reads it
    ("POST", "/v1/fine_tuning/jobs/{fine_tuning_job_id}/pause"),  # it is being validated
    ("POST", "/v1/fine_tuning/jobs/{fine_tuning_job_id}/resume"),
    ("POST", "/v1/uploads/{upload_id}/parts"),  # no part is sent
    ("POST", "/v1/uploads/{upload_id}/complete"),  # it has no such part
}


@pytest.fixture
def owned(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, engine: FakeEngine
) -> dict[str, str]:
    """Ids of everything that a project can own, by the name of the path's parameter."""
    file = http.post(
        "/v1/files", data={"purpose": "fine-tune"}, files={"file": ("rows.jsonl", b"{}")}
    ).json()
    job = http.post(
        "/v1/fine_tuning/jobs", json={"model": engine.bases[0].name, "training_file": file["id"]}
    ).json()
    upload = http.post(
        "/v1/uploads",
        json={"bytes": 1, "filename": "a", "mime_type": "text/plain", "purpose": "batch"},
    ).json()
    requests = http.post(
        "/v1/files", data={"purpose": "batch"}, files={"file": ("requests.jsonl", b"{}")}
    ).json()
    batch = http.post(
        "/v1/batches",
        json={
            "input_file_id": requests["id"],
            "endpoint": "/v1/embeddings",
            "completion_window": "24h",
        },
    ).json()
    model = f"ft:{FAKE_BASE.name}:{tenant.principal.scope.organization}::{job['id'][-8:]}"
    api.publish_model(tenant, model, job["id"])
    other = api.new_project(tenant.principal.scope.organization, "other").principal.scope
    permissions = http.post(
        f"/v1/fine_tuning/checkpoints/{model}/permissions",
        json={"project_ids": [other.project_id]},
    ).json()
    completion = http.post(
        "/v1/chat/completions",
        json={
            "model": FAKE_BASE.name,
            "messages": [{"role": "user", "content": "x"}],
            "store": True,
        },
    ).json()
    endpoint = http.post(
        "/v1/webhook_endpoints",
        json={"name": "x", "url": f"{api.url}/healthz", "event_types": ["batch.completed"]},
    ).json()
    with api.database.transaction() as connection:
        scope = tenant.principal.scope
        emit(connection, scope, WebhookEventType.BATCH_COMPLETED, "batch_1")
        key = f"{job_prefix(scope.project_id, job['id'])}e1"
        records = {"rows": f"{key}/rows", "receipt": f"{key}/receipt"}
        JobRepository(connection, scope).note_artefacts(job["id"], records)
    store = ObjectStore.from_settings(api.settings)
    store.put_bytes(records["rows"], Ledger().to_bytes())
    store.put_bytes(records["receipt"], b"{}")
    verification = http.post(
        f"/v1/fine_tuning/jobs/{job['id']}/verifications", json={"steps": 3}
    ).json()
    adapter = http.post(
        "/v1/files", data={"purpose": "user_data"}, files={"file": ("a.zip", b"PK")}
    ).json()
    imported = http.post(
        "/v1/models/imports", json={"base": FAKE_BASE.name, "file_id": adapter["id"]}
    ).json()
    exported = http.post(f"/v1/models/{model}/exports", json={"format": "peft"}).json()
    http.post("/v1/models/aliases", json={"alias": "ft:foreign::1", "model": FAKE_BASE.name})
    deliveries = http.get(f"/v1/webhook_endpoints/{endpoint['id']}/deliveries").json()
    return {
        "file_id": file["id"],
        "fine_tuning_job_id": job["id"],
        "model": model,
        "fine_tuned_model_checkpoint": model,
        "permission_id": permissions["data"][0]["id"],
        "other_project": other.project_id,
        "completion_id": completion["id"],
        "webhook_endpoint_id": endpoint["id"],
        "upload_id": upload["id"],
        "webhook_delivery_id": deliveries["data"][0]["id"],
        "batch_id": batch["id"],
        "import_id": imported["id"],
        "export_id": exported["id"],
        "verification_id": verification["id"],
        "alias": "ft:foreign::1",
    }


def filled(path: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def body(method: str, path: str, ids: dict[str, str]) -> dict[str, object] | None:
    """A good one, where the operation takes any."""
    if (method, path.endswith("/permissions")) == ("POST", True):
        return {"project_ids": [ids["other_project"]]}
    return BODIES.get(path) if method == "POST" else None


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_id_is_as_good_as_none(
    api: RunningApi, owned: dict[str, str], method: str, path: str
) -> None:
    name = path[path.index("{") + 1 : path.index("}")]
    foreign, missing = filled(path, owned), filled(path, owned | {name: "nothing"})

    with api.client(api.new_tenant()) as stranger:
        to_foreign, to_missing = (
            stranger.request(method, foreign, json=body(method, path, owned)),
            stranger.request(method, missing, json=body(method, path, owned)),
        )

    assert to_foreign.status_code == to_missing.status_code == 404
    expected = to_missing.json()["error"]["message"].replace("nothing", owned[name])
    assert to_foreign.json()["error"]["message"] == expected


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_owner_is_not_refused(
    http: httpx2.Client, owned: dict[str, str], method: str, path: str
) -> None:
    response = http.request(method, filled(path, owned), json=body(method, path, owned))

    assert response.status_code == (400 if (method, path) in REFUSED else 200)


def test_foreign_files_models_and_cursors_cannot_be_used(
    api: RunningApi, owned: dict[str, str]
) -> None:
    base = FAKE_BASE.name
    ask = [{"role": "user", "content": "x"}]
    with api.client(api.new_tenant()) as stranger:
        create = stranger.post(
            "/v1/fine_tuning/jobs", json={"model": base, "training_file": owned["file_id"]}
        )
        chat = stranger.post(
            "/v1/chat/completions", json={"model": owned["model"], "messages": ask}
        )
        pages = [
            stranger.get("/v1/files", params={"after": owned["file_id"]}),
            stranger.get("/v1/fine_tuning/jobs", params={"after": owned["fine_tuning_job_id"]}),
        ]
        models = stranger.get("/v1/models").json()["data"]

    assert (create.status_code, create.json()["error"]["code"]) == (400, "unknown_file")
    assert (chat.status_code, chat.json()["error"]["code"]) == (404, "model_not_found")
    assert {page.json()["error"]["code"] for page in pages} == {"invalid_cursor"}
    assert [model["id"] for model in models] == [base, FAKE_EMBEDDER.name]
