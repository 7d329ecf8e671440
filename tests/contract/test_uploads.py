"""Uploads in parts, through the official SDK."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from openai.types import Upload

from service.core.object_keys import upload_prefix
from service.core.storage import ObjectStore
from tests.running_api import Tenant

MIB = 1024**2
CONTENT = bytes(range(256)) * 50_000  # 12.8 MB


def begin(sdk: openai.OpenAI, size: int = len(CONTENT)) -> Upload:
    return sdk.uploads.create(
        bytes=size, filename="rows.jsonl", mime_type="application/jsonl", purpose="fine-tune"
    )


def objects_of(store: ObjectStore, tenant: Tenant, upload: Upload) -> list[str]:
    return list(store.list_keys(upload_prefix(tenant.principal.scope.project_id, upload.id)))


@pytest.mark.parametrize("part_size", [6 * MIB, 1 * MIB, 64 * MIB])
def test_a_file_uploaded_in_chunks_comes_back_byte_for_byte(
    sdk: openai.OpenAI, tmp_path: Path, part_size: int
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(CONTENT)

    upload = sdk.uploads.upload_file_chunked(
        file=path, mime_type="application/jsonl", purpose="fine-tune", part_size=part_size
    )

    assert (upload.status, upload.bytes) == ("completed", len(CONTENT))
    assert upload.file is not None
    assert (upload.file.bytes, upload.file.filename) == (len(CONTENT), "rows.jsonl")
    assert sdk.files.content(upload.file.id).read() == CONTENT
    assert sdk.files.retrieve(upload.file.id).purpose == "fine-tune"


@pytest.mark.parametrize("sizes", [(1, 6 * MIB, 3), (5 * MIB, 2, 4 * MIB), (7, 7, 7)])
def test_parts_of_any_size_come_in_any_order_and_at_once(
    sdk: openai.OpenAI, tenant: Tenant, object_store: ObjectStore, sizes: tuple[int, ...]
) -> None:
    ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    pieces = [CONTENT[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    upload = begin(sdk, sum(sizes))
    with ThreadPoolExecutor(3) as pool:
        parts = list(
            pool.map(
                lambda piece: sdk.uploads.parts.create(upload.id, data=piece), reversed(pieces)
            )
        )
    assert all(part.id.startswith("part_") and part.upload_id == upload.id for part in parts)

    done = sdk.uploads.complete(
        upload.id,
        part_ids=[part.id for part in reversed(parts)],
        md5=hashlib.md5(b"".join(pieces)).hexdigest(),
    )

    assert done.file is not None
    assert sdk.files.content(done.file.id).read() == b"".join(pieces)
    assert len(objects_of(object_store, tenant, upload)) == 1


def test_another_order_is_another_file(sdk: openai.OpenAI) -> None:
    upload = begin(sdk, 2)
    a, b = (sdk.uploads.parts.create(upload.id, data=piece).id for piece in (b"a", b"b"))

    done = sdk.uploads.complete(upload.id, part_ids=[b, a])

    assert done.file is not None
    assert sdk.files.content(done.file.id).read() == b"ba"


def test_a_wrong_checksum_size_or_part_is_refused_and_can_be_mended(sdk: openai.OpenAI) -> None:
    upload = begin(sdk, 4)
    part = sdk.uploads.parts.create(upload.id, data=b"four").id
    other = sdk.uploads.parts.create(begin(sdk, 4).id, data=b"four").id
    refusals = {}
    for name, arguments in {
        "checksum_mismatch": {"part_ids": [part], "md5": "0" * 32},
        "upload_mismatch": {"part_ids": [part, part]},
        "upload_mismatch ": {"part_ids": [other]},
    }.items():
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.uploads.complete(upload.id, **arguments)  # type: ignore[arg-type]
        refusals[name] = caught.value.code
    short = begin(sdk, 5)
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.uploads.complete(
            short.id, part_ids=[sdk.uploads.parts.create(short.id, data=b"four").id]
        )

    assert refusals == {name: name.strip() for name in refusals}
    assert caught.value.code == "upload_mismatch"
    assert sdk.uploads.complete(upload.id, part_ids=[part]).status == "completed"


def test_an_upload_that_is_over_takes_nothing_more(
    sdk: openai.OpenAI, tenant: Tenant, object_store: ObjectStore
) -> None:
    upload = begin(sdk)
    part = sdk.uploads.parts.create(upload.id, data=b"x").id

    cancelled = sdk.uploads.cancel(upload.id)

    assert (cancelled.status, cancelled.file) == ("cancelled", None)
    assert objects_of(object_store, tenant, upload) == []
    for call in (
        lambda: sdk.uploads.parts.create(upload.id, data=b"x"),
        lambda: sdk.uploads.complete(upload.id, part_ids=[part]),
        lambda: sdk.uploads.cancel(upload.id),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            call()
        assert caught.value.code == "upload_not_pending"
    assert objects_of(object_store, tenant, upload) == []


def test_the_file_of_an_upload_expires_as_asked(sdk: openai.OpenAI) -> None:
    upload = sdk.uploads.create(
        bytes=1,
        filename="a/b.jsonl",
        mime_type="text/plain",
        purpose="batch",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    part = sdk.uploads.parts.create(upload.id, data=b"x").id

    file = sdk.uploads.complete(upload.id, part_ids=[part]).file

    assert upload.expires_at == upload.created_at + 3600
    assert file is not None
    assert file.expires_at == file.created_at + 3600
    assert (file.filename, file.purpose) == ("b.jsonl", "batch")


def test_a_part_and_an_upload_over_the_limit_are_refused(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as part:
        sdk.uploads.parts.create(begin(sdk).id, data=bytes(64 * MIB + 1))
    with pytest.raises(openai.APIStatusError) as whole:
        begin(sdk, 8 * 1024**3 + 1)
    with pytest.raises(openai.BadRequestError) as kind:
        sdk.uploads.create(bytes=1, filename="a", mime_type="nonsense", purpose="batch")

    assert (part.value.status_code, whole.value.status_code) == (413, 413)
    assert kind.value.param == "mime_type"
