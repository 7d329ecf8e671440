import asyncio
import inspect
import io
from pathlib import Path

import pytest

from tests.clients.python.replies import (
    COMPLETION,
    FILE,
    ScriptedServer,
    answer,
    event,
    job,
    listed,
    model,
    refusal,
)
from tunery import AsyncTunery, NotFoundError, Tunery
from tunery._uploads import FileSource

DELETED = {"id": "x", "object": "x", "deleted": True}


def test_a_request_names_the_key_and_the_address() -> None:
    server = ScriptedServer(answer(job()))
    server.sync_client().fine_tuning.jobs.retrieve("ftjob-1")
    request = server.requests[0]
    assert str(request.url) == "http://server/v1/fine_tuning/jobs/ftjob-1"
    assert request.headers["authorization"] == "Bearer sk-1"


def test_creating_sends_what_was_given_and_nothing_else() -> None:
    server = ScriptedServer(answer(job()))
    server.sync_client().fine_tuning.jobs.create(
        model="base", training_file="file-1", metadata={"customer": "a"}, extra_body={"exact": True}
    )
    assert server.json() == {
        "model": "base",
        "training_file": "file-1",
        "metadata": {"customer": "a"},
        "exact": True,
    }


def test_fields_unknown_to_this_client_are_kept() -> None:
    server = ScriptedServer(answer(job(receipt={"digest": "abc"})))
    found = server.sync_client().fine_tuning.jobs.retrieve("ftjob-1")
    assert found.model_dump()["receipt"] == {"digest": "abc"}


def test_iterating_a_list_fetches_page_after_page() -> None:
    server = ScriptedServer(
        listed(job(id="ftjob-3"), job(id="ftjob-2"), has_more=True), listed(job(id="ftjob-1"))
    )
    jobs = server.sync_client().fine_tuning.jobs.list(limit=2)
    assert [found.id for found in jobs] == ["ftjob-3", "ftjob-2", "ftjob-1"]
    assert server.paths == [
        "/v1/fine_tuning/jobs?limit=2",
        "/v1/fine_tuning/jobs?limit=2&after=ftjob-2",
    ]


def test_an_empty_page_ends_a_list_whatever_it_promises() -> None:
    server = ScriptedServer(listed(has_more=True))
    assert list(server.sync_client().files.list()) == []


def test_one_page_can_be_had_alone() -> None:
    server = ScriptedServer(listed(job(), has_more=True))
    page = server.sync_client().fine_tuning.jobs.list(metadata={"customer": "a b"}).page()
    assert page.has_more
    assert server.requests[0].url.params["metadata[customer]"] == "a b"


def test_names_with_slash_and_colon_stay_one_segment_of_the_path() -> None:
    server = ScriptedServer(answer(model("Org/M")), answer(DELETED))
    models = server.sync_client().models
    models.retrieve("Org/M")
    models.delete("ft:base:tunery:desk:abcd1234")
    assert server.paths == ["/v1/models/Org%2FM", "/v1/models/ft:base:tunery:desk:abcd1234"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_change_the_path_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        ScriptedServer().sync_client().files.delete(name)


def test_an_upload_is_a_form_with_purpose_and_content(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b'{"messages": []}\n')
    server = ScriptedServer(answer(FILE))
    assert server.sync_client().files.upload(rows).id == "file-1"
    assert server.requests[0].headers["content-type"].startswith("multipart/form-data")
    for part in (b"fine-tune", b'filename="rows.jsonl"', b'{"messages": []}\n'):
        assert part in server.bodies[0]


@pytest.mark.parametrize("kind", ["path", "bytes", "open file"])
def test_a_repeated_upload_sends_the_whole_file_again(tmp_path: Path, kind: str) -> None:
    content = b"x" * 200_000
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    sources: dict[str, FileSource] = {
        "path": path,
        "bytes": content,
        "open file": io.BytesIO(content),
    }
    server = ScriptedServer(refusal(503, retry_after_ms="1"), answer(FILE))
    server.sync_client().files.upload(sources[kind])
    assert [content in body for body in server.bodies] == [True, True]


def test_an_upload_reports_its_progress_up_to_the_last_byte() -> None:
    reports: list[tuple[int, int]] = []
    server = ScriptedServer(answer(FILE))
    server.sync_client().files.upload(
        b"x" * 200_000, on_progress=lambda sent, total: reports.append((sent, total))
    )
    assert len(reports) > 1
    assert reports == sorted(reports)
    assert reports[-1] == (200_000, 200_000)


def test_content_is_returned_as_it_is() -> None:
    server = ScriptedServer(answer({"a": 1}))
    assert server.sync_client().files.content("file-1") == b'{"a":1}'


def test_a_refusal_is_raised_as_its_class() -> None:
    server = ScriptedServer(refusal(404, code="model_not_found"))
    with pytest.raises(NotFoundError) as caught:
        server.sync_client().chat.completions.create(model="nope", messages=[])
    assert caught.value.code == "model_not_found"


def test_the_text_of_a_completion_is_at_hand() -> None:
    server = ScriptedServer(answer(COMPLETION))
    completion = server.sync_client().chat.completions.create(
        model="base", messages=iter([{"role": "user", "content": "Hello"}]), temperature=0
    )
    assert completion.text == "Good day."
    assert server.json()["messages"] == [{"role": "user", "content": "Hello"}]


def test_the_asynchronous_client_does_the_same(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"{}\n")
    server = ScriptedServer(
        refusal(503, retry_after_ms="1"),
        answer(FILE),
        answer(job()),
        listed(job(id="ftjob-2"), has_more=True),
        listed(job(id="ftjob-1")),
        answer(job(status="succeeded")),
        listed(event(1)),
        answer(COMPLETION),
    )

    async def use(client: AsyncTunery) -> None:
        async with client:
            file = await client.files.upload(rows)
            created = await client.fine_tuning.jobs.create(model="base", training_file=file.id)
            assert [found.id async for found in client.fine_tuning.jobs.list()] == [
                "ftjob-2",
                "ftjob-1",
            ]
            heard: list[str] = []
            done = await client.fine_tuning.jobs.wait(
                created, on_event=lambda happened: heard.append(happened.id)
            )
            assert done.status == "succeeded"
            assert heard == ["ftevent-1"]
            completion = await client.chat.completions.create(model="base", messages=[])
            assert completion.text == "Good day."

    asyncio.run(use(server.async_client()))
    assert len(server.requests) == 8


def test_both_clients_offer_the_same_operations_with_the_same_parameters() -> None:
    def surface(client: Tunery | AsyncTunery) -> dict[str, list[str]]:
        resources = {
            "files": client.files,
            "jobs": client.fine_tuning.jobs,
            "models": client.models,
            "aliases": client.models.aliases,
            "completions": client.chat.completions,
        }
        return {
            f"{name}.{method}": list(inspect.signature(getattr(resource, method)).parameters)
            for name, resource in resources.items()
            for method in dir(resource)
            if not method.startswith("_") and callable(getattr(resource, method))
        }

    server = ScriptedServer()
    assert surface(server.sync_client()) == surface(server.async_client())


def test_a_client_given_by_the_caller_is_left_open() -> None:
    server = ScriptedServer(answer(job()))
    client = server.sync_client()
    client.close()
    assert client.fine_tuning.jobs.retrieve("ftjob-1").id == "ftjob-1"
