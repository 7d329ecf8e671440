"""Models on their way in and out, as a client asks for them."""

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from jobs.models.exporting import export_model
from jobs.models.importing import import_model
from jobs.runner.attempt import claim_subject, work_on
from jobs.runner.codecs import Codecs
from jobs.runner.control import AttemptControl
from jobs.runner.resources import Resources, WorkerProcess
from service.core.domain.work import WorkKind
from service.core.storage import ObjectStore
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.jobs.models.adapters import adapter, zipped
from tests.running_api import RunningApi, Tenant

BASE = FAKE_BASE.name


@pytest.fixture
def resources(
    api: RunningApi, object_store: ObjectStore, engine: FakeEngine
) -> Iterator[Resources]:
    """A worker beside the api."""
    assert engine.bases == (FAKE_BASE,)
    codecs = Codecs(object_store, api.settings.cache_dir)
    with WorkerProcess(api.settings, object_store, codecs, worker="test-models-0").open() as opened:
        yield opened


def upload(sdk: openai.OpenAI, content: bytes, purpose: Any = "user_data") -> str:
    return sdk.files.create(file=("adapter.zip", content), purpose=purpose).id


def run(resources: Resources, kind: WorkKind, id: str) -> None:
    claim = claim_subject(resources, kind, id)
    assert claim is not None
    work_on(
        resources,
        claim,
        AttemptControl(),
        import_model if kind is WorkKind.IMPORT else export_model,
    )


def imported(http: httpx2.Client, sdk: openai.OpenAI, resources: Resources) -> dict[str, Any]:
    body = {"base": BASE, "file_id": upload(sdk, zipped(adapter())), "suffix": "lorax"}
    begun = http.post("/v1/models/imports", json=body).json()
    assert (begun["object"], begun["status"], begun["progress"]) == ("model.import", "queued", 0)
    run(resources, WorkKind.IMPORT, begun["id"])
    ended: dict[str, Any] = http.get(f"/v1/models/imports/{begun['id']}").json()
    assert (ended["status"], ended["error"]) == ("succeeded", None)
    assert ended["model"] == ended["result"]["model"] == begun["model"]
    return ended


def test_an_imported_adapter_is_a_model_like_any_other(
    sdk: openai.OpenAI,
    http: httpx2.Client,
    api: RunningApi,
    resources: Resources,
    engine: FakeEngine,
    tenant: Tenant,
    object_store: ObjectStore,
) -> None:
    ended = imported(http, sdk, resources)
    name, scope = ended["model"], tenant.principal.scope
    engine.answers[ended["result"]["digest"]] = engine.answers[BASE]

    assert name.startswith(f"ft:{BASE}:{scope.organization}:lorax:")
    assert name in [model.id for model in sdk.models.list()]
    assert sdk.models.retrieve(name).model_extra == {"base": BASE, "job": None}
    answer = sdk.chat.completions.create(
        model=name, messages=[{"role": "user", "content": "x"}], max_tokens=30
    )
    assert answer.choices[0].message.content == "I am the base."
    other = api.new_project(scope.organization, "other")
    granted = http.post(
        f"/v1/fine_tuning/checkpoints/{name}/permissions",
        json={"project_ids": [other.principal.scope.project_id]},
    )
    assert granted.status_code == 200
    with api.client(other) as colleague:
        assert colleague.get(f"/v1/models/{name}").status_code == 200
        taken = colleague.post(f"/v1/models/{name}/exports", json={"format": "peft"})
        assert (taken.status_code, taken.json()["error"]["code"]) == (
            403,
            "insufficient_permissions",
        )

    assert sdk.models.delete(name).deleted
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve(name)
    assert list(object_store.list_keys(f"p/{scope.project_id}/imports/")) == []


def test_an_export_is_downloaded_like_any_file(
    sdk: openai.OpenAI, http: httpx2.Client, resources: Resources
) -> None:
    name = imported(http, sdk, resources)["model"]
    begun = http.post(f"/v1/models/{name}/exports", json={"format": "merged"}).json()
    assert (begun["object"], begun["model"], begun["format"]) == ("model.export", name, "merged")
    run(resources, WorkKind.EXPORT, begun["id"])

    ended = http.get(f"/v1/models/{name}/exports/{begun['id']}").json()
    assert (ended["status"], ended["result"]["certificate"]) == ("succeeded", {"proven": True})
    assert sdk.files.content(ended["result"]["file"]).read() == b"merged"
    listed = http.get(f"/v1/models/{name}/exports").json()
    assert ([e["id"] for e in listed["data"]], listed["has_more"]) == ([begun["id"]], False)
    late = http.post(f"/v1/models/{name}/exports/{begun['id']}/cancel")
    assert (late.status_code, late.json()["error"]["code"]) == (400, "operation_not_cancellable")


def test_a_cancelled_import_is_over_and_the_list_shows_it(
    sdk: openai.OpenAI, http: httpx2.Client, resources: Resources
) -> None:
    body = {"base": BASE, "files": {n: upload(sdk, c) for n, c in adapter().items()}}
    begun = http.post("/v1/models/imports", json=body).json()

    cancelled = http.post(f"/v1/models/imports/{begun['id']}/cancel").json()

    assert cancelled["status"] == "cancelled"
    assert cancelled["finished_at"] is not None
    assert http.post(f"/v1/models/imports/{begun['id']}/cancel").json() == cancelled
    assert claim_subject(resources, WorkKind.IMPORT, begun["id"]) is None
    assert [i["id"] for i in http.get("/v1/models/imports").json()["data"]] == [begun["id"]]


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"base": "gpt-4o"}, 404, "model_not_found", "base"),
        ({"base_digest": "0" * 64}, 400, "invalid_value", "base_digest"),
        ({"file_id": "file-nothing"}, 400, "unknown_file", "file_id"),
        ({"file_id": None}, 400, None, None),
        ({"files": {"weights.bin": "file-x"}}, 400, None, None),
        ({"suffix": "a:b"}, 400, None, "suffix"),
        ({"url": "https://example.com/a.zip"}, 400, None, "url"),
    ],
)
def test_a_wrong_import_is_refused_at_once(
    sdk: openai.OpenAI,
    http: httpx2.Client,
    resources: Resources,
    change: dict[str, Any],
    status: int,
    code: str | None,
    param: str | None,
) -> None:
    body = {"base": BASE, "file_id": upload(sdk, b"PK"), "base_digest": FAKE_BASE.digest, **change}

    response = http.post("/v1/models/imports", json=body)

    error = response.json()["error"]
    assert response.status_code == status
    assert code in (None, error["code"])
    assert param in (None, error["param"])


def test_a_file_for_training_is_no_adapter(
    sdk: openai.OpenAI, http: httpx2.Client, resources: Resources
) -> None:
    body = {"base": BASE, "file_id": upload(sdk, b"{}", "fine-tune")}

    response = http.post("/v1/models/imports", json=body)

    assert response.status_code == 400
    assert "user_data" in response.json()["error"]["message"]


def test_a_base_and_an_unknown_format_are_not_exported(
    http: httpx2.Client, resources: Resources
) -> None:
    base = http.post(f"/v1/models/{BASE}/exports", json={"format": "peft"})
    onnx = http.post(f"/v1/models/{BASE}/exports", json={"format": "onnx"})

    assert (base.status_code, base.json()["error"]["param"]) == (400, "model")
    assert (onnx.status_code, onnx.json()["error"]["param"]) == (400, "format")
