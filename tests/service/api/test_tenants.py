"""A project sees nothing of another's: foreign ids answer exactly like missing ones."""

import httpx2
import pytest

from service.api.app import create_app
from service.core.settings import Settings
from tests.fakes.engine import FAKE_BASE, FAKE_EMBEDDER, FakeEngine
from tests.running_api import RunningApi, Tenant

ROUTES = sorted(
    (method.upper(), path)
    for path, operations in create_app(Settings()).openapi()["paths"].items()
    for method in operations
    if "{" in path
)


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
    return {
        "file_id": file["id"],
        "fine_tuning_job_id": job["id"],
        "model": model,
        "upload_id": upload["id"],
        "batch_id": batch["id"],
    }


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_id_is_as_good_as_none(
    api: RunningApi, owned: dict[str, str], method: str, path: str
) -> None:
    name = path[path.index("{") + 1 : path.index("}")]
    foreign = path.replace(f"{{{name}}}", owned[name])
    missing = path.replace(f"{{{name}}}", "nothing")

    with api.client(api.new_tenant()) as stranger:
        body = {"part_ids": ["part_1"]} if path.endswith("/complete") else None
        to_foreign, to_missing = (
            stranger.request(method, foreign, json=body),
            stranger.request(method, missing, json=body),
        )

    assert to_foreign.status_code == to_missing.status_code == 404
    expected = to_missing.json()["error"]["message"].replace("nothing", owned[name])
    assert to_foreign.json()["error"]["message"] == expected


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_owner_is_not_refused(
    http: httpx2.Client, owned: dict[str, str], method: str, path: str
) -> None:
    name = path[path.index("{") + 1 : path.index("}")]

    response = http.request(method, path.replace(f"{{{name}}}", owned[name]))

    in_use = (method, name) == ("DELETE", "file_id")  # the job reads it
    lacks_a_body = path.endswith(("/parts", "/complete"))
    assert response.status_code == (400 if in_use or lacks_a_body else 200)


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
