"""Files, through the official SDK."""

import asyncio
import io

import openai
import pytest

from tests.running_api import RunningApi, Tenant

ROWS = b'{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}\n'


def test_an_uploaded_file_comes_back_byte_for_byte(sdk: openai.OpenAI) -> None:
    content = ROWS * 20_000  # 1.6 MB: many pieces of a body

    uploaded = sdk.files.create(file=("rows.jsonl", content), purpose="fine-tune")

    assert uploaded.id.startswith("file-")
    assert (uploaded.bytes, uploaded.filename) == (len(content), "rows.jsonl")
    assert (uploaded.purpose, uploaded.status) == ("fine-tune", "processed")
    assert sdk.files.retrieve(uploaded.id) == uploaded
    assert sdk.files.content(uploaded.id).read() == content
    assert sdk.files.wait_for_processing(uploaded.id) == uploaded


def test_an_empty_file_is_kept(sdk: openai.OpenAI) -> None:
    uploaded = sdk.files.create(file=("empty.jsonl", b""), purpose="fine-tune")

    assert sdk.files.content(uploaded.id).read() == b""


def test_listing_pages_through_every_file_once_newest_first(sdk: openai.OpenAI) -> None:
    ids = [sdk.files.create(file=(f"{i}", ROWS), purpose="fine-tune").id for i in range(5)]
    sdk.files.create(file=("b", b"{}"), purpose="batch")

    newest_first = [file.id for file in sdk.files.list(purpose="fine-tune", limit=2)]
    oldest_first = [file.id for file in sdk.files.list(purpose="fine-tune", limit=2, order="asc")]

    assert newest_first == ids[::-1]
    assert oldest_first == ids


def test_a_deleted_file_is_gone(sdk: openai.OpenAI) -> None:
    file = sdk.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")

    assert sdk.files.delete(file.id).deleted

    with pytest.raises(openai.NotFoundError) as caught:
        sdk.files.retrieve(file.id)
    assert (caught.value.code, caught.value.type) == ("file_not_found", "invalid_request_error")
    assert caught.value.request_id is not None
    assert list(sdk.files.list()) == []


def test_a_large_file_is_streamed(sdk: openai.OpenAI) -> None:
    content = io.BytesIO(b"x" * (20 * 1024**2))  # three parts of a multipart upload

    uploaded = sdk.files.create(file=("large.jsonl", content), purpose="fine-tune")

    assert uploaded.bytes == 20 * 1024**2


@pytest.mark.parametrize("purpose", ["fine-tune-results", "nonsense"])
def test_an_unknown_or_reserved_purpose_is_refused(sdk: openai.OpenAI, purpose: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.files.create(file=("rows.jsonl", ROWS), purpose=purpose)  # type: ignore[arg-type]

    assert caught.value.param == "purpose"
    assert list(sdk.files.list()) == []


@pytest.mark.parametrize("seconds", [3600, 2_592_000])
def test_a_file_says_when_it_expires(sdk: openai.OpenAI, seconds: int) -> None:
    uploaded = sdk.files.create(
        file=("rows.jsonl", ROWS),
        purpose="fine-tune",
        expires_after={"anchor": "created_at", "seconds": seconds},
    )

    assert uploaded.expires_at == uploaded.created_at + seconds
    assert sdk.files.retrieve(uploaded.id).expires_at == uploaded.expires_at


def test_a_file_without_an_expiry_stays(sdk: openai.OpenAI) -> None:
    uploaded = sdk.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")

    assert uploaded.expires_at is None


@pytest.mark.parametrize("seconds", [3599, 2_592_001])
def test_an_expiry_out_of_bounds_is_refused(sdk: openai.OpenAI, seconds: int) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.files.create(
            file=("rows.jsonl", ROWS),
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": seconds},
        )

    assert caught.value.param == "expires_after[seconds]"
    assert list(sdk.files.list()) == []


@pytest.mark.parametrize("purpose", ["assistants", "batch", "evals", "user_data", "vision"])
def test_every_purpose_of_an_upload_is_kept(sdk: openai.OpenAI, purpose: str) -> None:
    uploaded = sdk.files.create(file=("f", b"{}"), purpose=purpose)  # type: ignore[arg-type]

    assert [file.id for file in sdk.files.list(purpose=purpose)] == [uploaded.id]
    assert list(sdk.files.list(purpose="fine-tune")) == []


async def _upload(api: RunningApi, tenant: Tenant) -> str:
    async with api.async_sdk(tenant) as client:
        file = await client.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
        return (await client.files.content(file.id)).text


def test_the_async_client_uploads_too(api: RunningApi, tenant: Tenant) -> None:
    assert asyncio.run(_upload(api, tenant)) == ROWS.decode()
