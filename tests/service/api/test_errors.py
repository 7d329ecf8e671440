"""Every failure is the OpenAI envelope, and every answer has its headers."""

import json

import httpx2
import pytest

from service.core.repositories.keys import KeyRepository
from tests.running_api import RunningApi, Tenant

JSON = {"content-type": "application/json"}


def error_of(response: httpx2.Response) -> dict[str, object]:
    """The error of a well-formed envelope."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"]
    assert response.headers["x-request-id"].startswith("req_")
    error: dict[str, object] = body["error"]
    return error


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/files/", 404, "not_found"),
        ("GET", "/v1/fine_tuning/jobs/x/y", 404, "not_found"),
        ("DELETE", "/v1/fine_tuning/jobs", 405, "method_not_allowed"),
        ("GET", "/v1/files/file-unknown", 404, "file_not_found"),
        ("GET", "/v1/files/file-unknown/content", 404, "file_not_found"),
        ("GET", "/v1/fine_tuning/jobs/ftjob-unknown", 404, "job_not_found"),
        ("GET", "/v1/models/org/model", 404, "model_not_found"),
        ("DELETE", "/v1/models/org/model", 404, "model_not_found"),
        ("GET", "/v1/fine_tuning/jobs?limit=0", 400, "invalid_value"),
        ("GET", "/v1/fine_tuning/jobs?limit=x", 400, "invalid_value"),
        ("GET", "/v1/fine_tuning/jobs?after=ftjob-unknown", 400, "invalid_cursor"),
        ("GET", "/v1/files?order=sideways", 400, "invalid_value"),
    ],
)
def test_a_request_that_fails_says_so_in_the_envelope(
    http: httpx2.Client, method: str, path: str, status: int, code: str
) -> None:
    response = http.request(method, path)

    assert response.status_code == status
    error = error_of(response)
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


@pytest.mark.parametrize("path", ["/v1/fine_tuning/jobs", "/v1/chat/completions"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model": "\\ud800", "messages": []}',
        b'{"\\ud800": 1}',
        b'{"model": NaN, "messages": Infinity}',
        b'{"seed": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_body_that_is_no_request_is_a_400(http: httpx2.Client, path: str, content: bytes) -> None:
    response = http.post(path, content=content, headers=JSON)

    assert response.status_code == 400
    assert error_of(response)["type"] == "invalid_request_error"


def test_json_under_another_content_type_is_a_400(http: httpx2.Client) -> None:
    response = http.post("/v1/chat/completions", content=b"{}", headers={"content-type": "x/y"})

    assert response.status_code == 400
    assert error_of(response)["param"] is None


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_over_the_limit_is_a_413(
    api: RunningApi, http: httpx2.Client, *, declared: bool
) -> None:
    size = api.settings.max_body_bytes + 1
    chunks = (b" " * 65_536 for _ in range(size // 65_536 + 1))
    content = b" " * size if declared else chunks

    response = http.post("/v1/chat/completions", content=content, headers=JSON)

    assert response.status_code == 413
    assert error_of(response)["code"] == "payload_too_large"


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer sk-wrong", "Basic abc", "é"])
def test_without_a_good_key_there_is_a_401(api: RunningApi, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization.encode("latin-1")}

    response = httpx2.get(f"{api.url}/v1/models", headers=headers)  # type: ignore[arg-type]

    assert response.status_code == 401
    error = error_of(response)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")


def test_a_revoked_key_is_refused(api: RunningApi, tenant: Tenant, http: httpx2.Client) -> None:
    assert http.get("/v1/models").status_code == 200
    with api.database.transaction() as connection:
        KeyRepository(connection, tenant.principal.scope.organization_id).revoke(
            tenant.principal.key_id
        )

    assert http.get("/v1/models").status_code == 401


def test_an_answer_names_request_organization_and_time(http: httpx2.Client, tenant: Tenant) -> None:
    first, second = http.get("/v1/models"), http.get("/v1/models")

    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.headers["openai-version"] == "2020-10-01"
    assert first.headers["openai-processing-ms"].isdecimal()
    assert first.headers["openai-organization"] == tenant.principal.scope.organization


def test_organization_and_project_headers_do_not_move_a_key(http: httpx2.Client) -> None:
    headers = {"OpenAI-Organization": "org-other", "OpenAI-Project": "proj_other"}

    assert http.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "address", ["/v1/files?limti=5", "/v1/models?limit=2", "/v1/fine_tuning/jobs?metadta[a]=b"]
)
def test_an_unknown_parameter_of_the_query_is_refused_by_its_name(
    http: httpx2.Client, address: str
) -> None:
    response = http.get(address)

    assert response.status_code == 400
    error = error_of(response)
    name = address.partition("?")[2].partition("=")[0]
    assert (error["code"], error["param"]) == ("unsupported_parameter", name)


def test_the_description_is_served_to_anyone(api: RunningApi) -> None:
    description = json.loads(httpx2.get(f"{api.url}/openapi.json").content)

    assert "/v1/fine_tuning/jobs" in description["paths"]
    assert not any(path.startswith("/internal") for path in description["paths"])
