"""Uploads that a well-behaved client does not send."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from service.core.object_keys import file_key
from service.core.storage import ObjectStore
from tests.running_api import RunningApi, Tenant, api_settings, running_api
from tests.servers.seaweedfs import S3Credentials
from tests.service.api.test_errors import error_of

BOUNDARY = "----boundary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
PURPOSE = b'content-disposition: form-data; name="purpose"\r\n\r\nfine-tune'
FILE = b'content-disposition: form-data; name="file"; filename="rows.jsonl"\r\n\r\n{}'


def form(*parts: bytes, end: bool = True) -> bytes:
    body = b"".join(b"--" + BOUNDARY.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return body + (b"--" + BOUNDARY.encode() + b"--\r\n" if end else b"")


def objects_of(store: ObjectStore, tenant: Tenant) -> list[str]:
    return list(store.list_keys(file_key(tenant.principal.scope.project_id, "")))


@pytest.mark.parametrize("parts", [(PURPOSE, FILE), (FILE, PURPOSE)])
@pytest.mark.parametrize("piece_bytes", [1, 7, 100_000])
def test_the_order_of_parts_and_the_size_of_pieces_do_not_matter(
    http: httpx2.Client, parts: tuple[bytes, bytes], piece_bytes: int
) -> None:
    body = form(*parts)
    pieces = (body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes))

    response = http.post("/v1/files", content=pieces, headers=FORM)

    assert response.status_code == 200
    assert http.get(f"/v1/files/{response.json()['id']}/content").content == b"{}"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (form(PURPOSE), "file"),
        (form(FILE), "purpose"),
        (form(PURPOSE, FILE, FILE), "file"),
        (form(PURPOSE, FILE, end=False), "file"),
        (form(PURPOSE, FILE)[:-6], "file"),
        (form(FILE, PURPOSE.replace(b"fine-tune", b"x" * 5000)), "purpose"),
        (form(FILE, *[PURPOSE] * 40), None),
        (b"nonsense", None),
        (b"", "file"),
    ],
)
def test_a_malformed_form_is_a_400_and_leaves_nothing_behind(
    http: httpx2.Client,
    tenant: Tenant,
    object_store: ObjectStore,
    body: bytes,
    param: str | None,
) -> None:
    response = http.post("/v1/files", content=body, headers=FORM)

    assert response.status_code == 400
    assert error_of(response)["param"] == param
    assert objects_of(object_store, tenant) == []
    assert http.get("/v1/files").json()["data"] == []


def test_a_body_that_is_no_form_is_a_400(http: httpx2.Client) -> None:
    response = http.post("/v1/files", json={"purpose": "fine-tune"})

    assert response.status_code == 400
    assert "multipart" in str(error_of(response)["message"])


def test_a_file_name_is_display_only(
    http: httpx2.Client, tenant: Tenant, object_store: ObjectStore
) -> None:
    named = FILE.replace(b"rows.jsonl", "../../etc/päss\x07wd".encode())

    file = http.post("/v1/files", content=form(PURPOSE, named), headers=FORM).json()

    assert file["filename"] == "pässwd"
    (key,) = objects_of(object_store, tenant)
    assert key.endswith(file["id"])
    download = http.get(f"/v1/files/{file['id']}/content")
    assert download.headers["content-disposition"].startswith("attachment;")
    assert download.headers["content-length"] == "2"


@pytest.fixture
def small_api(
    tmp_path: Path, s3_credentials: S3Credentials, valkey_url: str
) -> Iterator[RunningApi]:
    settings = api_settings(tmp_path, s3_credentials, valkey_url, max_file_bytes=1_000_000)
    with running_api(settings) as running:
        yield running


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_over_the_limit_is_a_413_and_leaves_nothing_behind(
    small_api: RunningApi, object_store: ObjectStore, *, declared: bool
) -> None:
    tenant = small_api.new_tenant()
    body = form(PURPOSE, FILE + b"x" * 1_500_000)
    pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))

    with small_api.client(tenant) as http:
        response = http.post("/v1/files", content=body if declared else pieces, headers=FORM)

    assert response.status_code == 413
    assert error_of(response)["param"] == "file"
    assert objects_of(object_store, tenant) == []
