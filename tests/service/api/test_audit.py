"""Every change through the API is in the audit log, made by the key that made it."""

import json

import httpx2
from sqlalchemy import select, update

from service.api.openapi import render_openapi
from service.core.domain.audit import first_break
from service.core.domain.jobs import JobStatus
from service.core.repositories.audit import ChainRepository
from service.core.tables import audit, jobs
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant
from tests.service.api import test_tenants

owned = test_tenants.owned

CHANGES_NOTHING = {
    "create_completion",
    "create_embeddings",
    "classify",
    "preview_rows",
    "run_grader",
    "validate_grader",
    "test_webhook_endpoint",
}
"""POSTs after which nothing is another than before."""

JOB = "/v1/fine_tuning/jobs/{fine_tuning_job_id}"
CHECKPOINT = "/v1/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions"
ENDPOINT = "/v1/webhook_endpoints/{webhook_endpoint_id}"
UPLOAD = "/v1/uploads/{upload_id}"
EVENTS = ["batch.completed"]
COMPLETION = {"model": FAKE_BASE.name, "messages": [{"role": "user", "content": "x"}]}
DECLARED = {"bytes": 1, "filename": "a", "mime_type": "text/plain", "purpose": "batch"}
BATCH = {"endpoint": "/v1/embeddings", "completion_window": "24h"}

CHANGES: list[tuple[str, str, str, dict[str, object] | None, list[str]]] = [
    ("create_job", "POST", "/v1/fine_tuning/jobs", {"model": FAKE_BASE.name}, ["job.created"]),
    ("pause_job", "POST", f"{JOB}/pause", None, ["job.paused"]),
    ("resume_job", "POST", f"{JOB}/resume", None, ["job.resumed"]),
    ("cancel_job", "POST", f"{JOB}/cancel", None, ["job.cancelled"]),
    ("create_upload", "POST", "/v1/uploads", DECLARED, ["upload.created"]),
    ("cancel_upload", "POST", f"{UPLOAD}/cancel", None, ["upload.cancelled"]),
    ("create_batch", "POST", "/v1/batches", BATCH, ["batch.created"]),
    ("cancel_batch", "POST", "/v1/batches/{batch_id}/cancel", None, ["batch.cancelled"]),
    (
        "create_chat_completion",
        "POST",
        "/v1/chat/completions",
        COMPLETION | {"store": True},
        ["chat.completion.stored"],
    ),
    (
        "update_stored_completion",
        "POST",
        "/v1/chat/completions/{completion_id}",
        {"metadata": {"a": "b"}},
        ["chat.completion.updated"],
    ),
    (
        "delete_stored_completion",
        "DELETE",
        "/v1/chat/completions/{completion_id}",
        None,
        ["chat.completion.deleted"],
    ),
    (
        "create_webhook_endpoint",
        "POST",
        "/v1/webhook_endpoints",
        {"name": "x", "url": "https://hooks.example/", "event_types": EVENTS},
        ["webhook_endpoint.created"],
    ),
    (
        "update_webhook_endpoint",
        "POST",
        ENDPOINT,
        {"name": "y"},
        ["webhook_endpoint.updated"],
    ),
    (
        "rotate_webhook_secret",
        "POST",
        f"{ENDPOINT}/rotate_secret",
        None,
        ["webhook_endpoint.secret_rotated"],
    ),
    (
        "replay_webhook_delivery",
        "POST",
        "/v1/webhook_deliveries/{webhook_delivery_id}/replay",
        None,
        ["webhook_delivery.replayed"],
    ),
    ("delete_webhook_endpoint", "DELETE", ENDPOINT, None, ["webhook_endpoint.deleted"]),
    (
        "put_wandb_integration",
        "POST",
        "/v1/integrations/wandb",
        {"api_key": "w" * 40},
        ["integration.created"],
    ),
    (
        "delete_wandb_integration",
        "DELETE",
        "/v1/integrations/wandb",
        None,
        ["integration.deleted"],
    ),
    (
        "delete_checkpoint_permission",
        "DELETE",
        f"{CHECKPOINT}/{{permission_id}}",
        None,
        ["checkpoint.permission.deleted"],
    ),
    (
        "create_checkpoint_permissions",
        "POST",
        CHECKPOINT,
        {"project_ids": ["{other_project}"]},
        ["checkpoint.permission.created"],
    ),
    (
        "set_alias",
        "POST",
        "/v1/models/aliases",
        {"alias": "prod", "model": FAKE_BASE.name},
        ["model.alias.set"],
    ),
    ("delete_alias", "DELETE", "/v1/models/aliases/{alias}", None, ["model.alias.deleted"]),
    (
        "create_model_import",
        "POST",
        "/v1/models/imports",
        {"base": FAKE_BASE.name},
        ["model.import.created"],
    ),
    (
        "cancel_model_import",
        "POST",
        "/v1/models/imports/{import_id}/cancel",
        None,
        ["model.import.cancelled"],
    ),
    (
        "cancel_model_export",
        "POST",
        "/v1/models/{model}/exports/{export_id}/cancel",
        None,
        ["model.export.cancelled"],
    ),
    (
        "create_model_export",
        "POST",
        "/v1/models/{model}/exports",
        {"format": "peft"},
        ["model.export.created"],
    ),
    ("delete_model", "DELETE", "/v1/models/{model}", None, ["model.deleted"]),
    ("delete_file", "DELETE", "/v1/files/{file_id}", None, ["file.deleted"]),
]
"""In an order in which none takes away what a later one needs."""

BY_FORM = {"upload_file", "add_upload_part", "complete_upload"}


def logged(api: RunningApi, tenant: Tenant) -> list[tuple[str, str]]:
    """Actions and who did them, in the chain's order."""
    mine = audit.c.project_id == tenant.principal.scope.project_id
    with api.database.snapshot() as connection:
        query = select(audit.c.action, audit.c.actor).where(mine).order_by(audit.c.number)
        return [(row.action, row.actor) for row in connection.execute(query)]


def upload(http: httpx2.Client, purpose: str) -> str:
    form = {"data": {"purpose": purpose}, "files": {"file": ("a.jsonl", b"{}")}}
    return str(http.post("/v1/files", **form).json()["id"])  # type: ignore[arg-type]


def test_every_operation_that_changes_something_is_tried_here() -> None:
    changing = {
        operation["operationId"]
        for path, methods in json.loads(render_openapi())["paths"].items()
        for method, operation in methods.items()
        if method != "get" and not path.startswith("/v1/organization/")
    }
    assert changing == {name for name, *_ in CHANGES} | BY_FORM | CHANGES_NOTHING


def test_every_change_is_logged_with_its_key(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, owned: dict[str, str], engine: FakeEngine
) -> None:
    files = {
        "create_job": {"training_file": owned["file_id"]},
        "create_batch": {"input_file_id": upload(http, "batch")},
        "create_model_import": {"file_id": upload(http, "user_data")},
        "create_checkpoint_permissions": {"project_ids": [owned["other_project"]]},
    }
    ids = owned | {"file_id": upload(http, "batch")}  # no job reads that one
    with api.database.transaction() as connection:  # as once its files are found good
        mine = jobs.c.id == owned["fine_tuning_job_id"]
        connection.execute(update(jobs).where(mine).values(status=JobStatus.QUEUED))
    for name, method, path, body, actions in CHANGES:
        before = logged(api, tenant)
        json_body = None if body is None else body | files.get(name, {})

        answer = http.request(method, test_tenants.filled(path, ids), json=json_body)

        assert answer.status_code == 200, (name, answer.text)
        new = logged(api, tenant)[len(before) :]
        prefix = "fine_tuning." if name.endswith("_job") else ""
        assert new == [(prefix + action, tenant.principal.key_id) for action in actions], name
    with api.database.snapshot() as connection:
        chains, project_id = ChainRepository(connection), tenant.principal.scope.project_id
        assert first_break(chains.entries(project_id), chains.heads()[project_id]) is None


def test_uploads_are_logged(api: RunningApi, tenant: Tenant, http: httpx2.Client) -> None:
    http.post("/v1/files", data={"purpose": "batch"}, files={"file": ("a.jsonl", b"{}")})
    upload = http.post("/v1/uploads", json=DECLARED).json()["id"]
    part = http.post(f"/v1/uploads/{upload}/parts", files={"data": ("a", b"x")}).json()["id"]
    done = http.post(f"/v1/uploads/{upload}/complete", json={"part_ids": [part]})

    assert done.status_code == 200
    assert [action for action, _ in logged(api, tenant)] == [
        "file.uploaded",
        "upload.created",
        "upload.part_added",
        "upload.completed",
        "file.uploaded",
    ]


def test_what_is_refused_or_only_asked_is_not_logged(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, engine: FakeEngine
) -> None:
    assert http.post("/v1/chat/completions", json=COMPLETION).status_code == 200
    assert http.delete("/v1/files/none").status_code == 404
    assert http.post("/v1/fine_tuning/jobs", json={}).status_code == 400

    assert logged(api, tenant) == []
