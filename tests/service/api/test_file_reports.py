"""The report on a file, asked for at upload and shown in pages."""

from typing import Any

import httpx2
import pytest

from service.core.datasets import Finding, Report, Severity
from service.core.domain.operations import OperationKind
from service.core.domain.work import WorkKind
from service.core.repositories.operations import OperationRepository
from service.core.repositories.work import WorkRepository
from tests.fakes.engine import FAKE_BASE, FakeEngine
from tests.running_api import RunningApi, Tenant


@pytest.fixture
def file_id(http: httpx2.Client) -> str:
    return upload(http)


def upload(http: httpx2.Client, purpose: str = "fine-tune") -> str:
    files = {"file": ("rows.jsonl", b'{"text": "a"}')}
    created: str = http.post("/v1/files", data={"purpose": purpose}, files=files).json()["id"]
    return created


def finish(api: RunningApi, tenant: Tenant, report_id: str) -> None:
    """What a worker does."""
    report = Report(rows=4, usable_rows=1, tokens=9, trained_tokens=5, longest_row=7)
    for line in range(1, 4):
        report.add(Finding(line, "invalid_json", Severity.ERROR, "is not JSON", "repair it"))
    report.add(Finding(None, "odd", Severity.INFO, "The file is odd", ""))
    limit = {"tokens": 1024, "over_length": "error"}
    result = {
        "base": FAKE_BASE.name,
        "kind": "text",
        "limit": limit,
        "report": report.to_json(),
    }
    with api.database.transaction() as connection:
        operations = OperationRepository(connection, tenant.principal.scope)
        operations.succeed(report_id, result)
        WorkRepository(connection).remove(WorkKind.FILE_REPORT, report_id)


def test_a_report_is_asked_for_at_upload(api: RunningApi, tenant: Tenant, file_id: str) -> None:
    with api.database.snapshot() as connection:
        operations = OperationRepository(connection, tenant.principal.scope)
        (report,) = operations.list(
            OperationKind.FILE_REPORT, subject=file_id, after=None, limit=9
        ).items

    assert report.request == {"base": None, "kind": None, "hyperparameters": {}}


def test_a_report_is_shown_in_pages(
    api: RunningApi, tenant: Tenant, http: httpx2.Client, file_id: str
) -> None:
    waiting = http.get(f"/v1/files/{file_id}/report").json()
    assert (waiting["status"], waiting["result"]) == ("queued", None)
    finish(api, tenant, waiting["id"])

    shown = http.get(f"/v1/files/{file_id}/report", params={"limit": 3}).json()
    rest = http.get(f"/v1/files/{file_id}/report", params={"limit": 3, "after": 3}).json()

    assert (shown["id"], shown["status"]) == (waiting["id"], "succeeded")
    result = shown["result"]
    assert result["counts"] == [
        {"code": "invalid_json", "severity": "error", "count": 3, "lines": [1, 2, 3]},
        {"code": "odd", "severity": "info", "count": 1, "lines": []},
    ]
    assert (result["methods"], result["errors"]) == (["unsupervised"], 3)
    assert result["findings"][0] == {
        "line": 1,
        "code": "invalid_json",
        "severity": "error",
        "message": "Line 1 is not JSON; repair it.",
        "fix": "repair it",
    }
    assert [f["line"] for f in result["findings"]] == [1, 2, 3]
    assert result["has_more"]
    assert [f["message"] for f in rest["result"]["findings"]] == ["The file is odd."]
    assert not rest["result"]["has_more"]


def test_another_method_is_another_report(
    http: httpx2.Client, file_id: str, engine: FakeEngine
) -> None:
    path = f"/v1/files/{file_id}/report"
    plain = http.get(path).json()["id"]
    named = http.get(path, params={"model": engine.bases[0].name}).json()["id"]
    dpo = http.get(path, params={"method": "dpo"}).json()["id"]
    reward = http.get(path, params={"method": "reward_model"}).json()["id"]

    assert named == plain  # it is the default base
    assert dpo == reward != plain


def test_another_limit_is_another_report_and_a_jobs_default_is_none(
    http: httpx2.Client, file_id: str
) -> None:
    path = f"/v1/files/{file_id}/report"
    plain = http.get(path).json()["id"]
    default = http.get(path, params={"over_length": "error"}).json()["id"]
    limited = {"max_seq_length": 64, "over_length": "skip"}
    skipping, again = (http.get(path, params=limited).json()["id"] for _ in range(2))

    assert default == plain != skipping == again


@pytest.mark.parametrize(
    ("params", "status", "param"),
    [
        ({"method": "magic"}, 400, "method"),
        ({"model": "unknown"}, 404, "model"),
        ({"limit": 0}, 400, "limit"),
        ({"max_seq_length": 7}, 400, "max_seq_length"),
        ({"over_length": "cut"}, 400, "over_length"),
    ],
)
def test_what_does_not_exist_is_refused(
    http: httpx2.Client, file_id: str, params: dict[str, Any], status: int, param: str
) -> None:
    answer = http.get(f"/v1/files/{file_id}/report", params=params)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_only_training_files_have_reports(http: httpx2.Client) -> None:
    answer = http.get(f"/v1/files/{upload(http, 'batch')}/report")

    assert answer.status_code == 400
    assert "purpose batch" in answer.json()["error"]["message"]
