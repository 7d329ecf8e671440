"""Imports and exports of models, through the client and the command line."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.clients.python.replies import FILE, ScriptedServer, answer, listed, refusal
from tests.clients.python.test_cli import Terminal
from tunery import TuneryError, WaitTimeoutError

OPERATION = {"progress": 0.0, "error": None, "created_at": 1, "finished_at": None, "result": None}
NAME = "ft:base:tunery::abcd1234"


def an_import(status: str, **changes: Any) -> httpx2.Response:
    about = {"id": "import_1", "object": "model.import", "base": "base", "model": NAME}
    return answer({**OPERATION, **about, "status": status, **changes})


def an_export(status: str, **changes: Any) -> httpx2.Response:
    about = {"id": "export_1", "object": "model.export", "model": NAME, "format": "gguf"}
    return answer({**OPERATION, **about, "status": status, **changes})


DONE = {"model": NAME, "warnings": ["another base"], "parity": {"is_parity": True}}
FAILED = {"error": {"code": "invalid_adapter", "message": "It does not fit.", "param": None}}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes(b"{}")
    return tmp_path


def test_a_folder_is_sent_as_its_two_files(adapter: Path) -> None:
    terminal = Terminal(
        answer({**FILE, "id": "file-c"}),
        answer({**FILE, "id": "file-w"}),
        an_import("queued"),
        an_import("succeeded", result=DONE),
    )

    result = terminal.run("models", "import", str(adapter), "--base", "base", "--suffix", "x")

    assert (result.exit_code, result.stdout) == (0, f"{NAME}\n")
    assert "another base" in result.stderr
    asked = terminal.server.json(2)
    assert asked == {
        "base": "base",
        "suffix": "x",
        "files": {"adapter_config.json": "file-c", "adapter_model.safetensors": "file-w"},
    }


def test_an_archive_is_sent_as_it_is_and_a_failure_is_an_exit_code(tmp_path: Path) -> None:
    archive = tmp_path / "adapter.zip"
    archive.write_bytes(b"PK")
    terminal = Terminal(answer(FILE), an_import("queued"), an_import("failed", **FAILED))

    result = terminal.run("models", "import", str(archive), "--base", "base")

    assert result.exit_code == 100
    assert "It does not fit." in result.stderr
    assert terminal.server.json(1) == {"base": "base", "file_id": "file-1"}


def test_a_folder_that_is_no_adapter_is_not_sent(tmp_path: Path) -> None:
    terminal = Terminal()

    result = terminal.run("models", "import", str(tmp_path), "--base", "base")

    assert result.exit_code == 1
    assert "adapter_config.json" in result.stderr
    assert terminal.server.requests == []


def test_an_export_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    out = tmp_path / "model.gguf"
    done = {"file": "file-9", "format": "gguf", "bytes": 4, "certificate": {}}
    terminal = Terminal(
        an_export("queued"),
        an_export("succeeded", result=done),
        httpx2.Response(200, content=b"GGUF"),
    )

    result = terminal.run("models", "export", NAME, "--format", "gguf", "--out", str(out))

    assert (result.exit_code, out.read_bytes()) == (0, b"GGUF")
    assert [file.name for file in tmp_path.iterdir()] == ["model.gguf"]
    assert terminal.server.requests[2].url.path.endswith("/files/file-9/content")


def test_waiting_tells_of_progress_and_has_an_end() -> None:
    server = ScriptedServer(an_import("running", progress=0.4), an_import("succeeded", result=DONE))
    heard: list[float] = []
    with server.sync_client() as client:
        ended = client.models.imports.wait(
            "import_1", on_progress=lambda i: heard.append(i.progress), poll_seconds=0
        )
    assert (ended.status, heard) == ("succeeded", [0.4, 0.0])

    server = ScriptedServer(an_export("running"), an_export("running"))
    with server.sync_client() as client, pytest.raises(WaitTimeoutError, match="export_1"):
        client.models.exports.wait(NAME, "export_1", poll_seconds=0, timeout_seconds=-1)


async def _drive(server: ScriptedServer, path: Path) -> list[str]:
    async with server.async_client() as client:
        created = await client.models.exports.create(NAME, format="peft")
        ended = await client.models.exports.wait(NAME, created.id, poll_seconds=0)
        listing = [export.id async for export in client.models.exports.list(NAME)]
        await client.files.download("file-9", path)
        cancelled = await client.models.imports.cancel("import_1")
    return [ended.status, *listing, cancelled.status]


def test_the_asynchronous_client_does_the_same(tmp_path: Path) -> None:
    import asyncio

    exported = {**OPERATION, "id": "export_1", "model": NAME, "format": "peft", "status": "queued"}
    server = ScriptedServer(
        an_export("queued"),
        an_export("succeeded"),
        listed(exported),
        httpx2.Response(200, content=b"tar"),
        an_import("cancelled"),
    )

    seen = asyncio.run(_drive(server, tmp_path / "a.tar"))

    assert seen == ["succeeded", "export_1", "cancelled"]
    assert (tmp_path / "a.tar").read_bytes() == b"tar"


def test_a_refused_download_leaves_nothing(tmp_path: Path) -> None:
    server = ScriptedServer(refusal(404))
    with server.sync_client() as client, pytest.raises(TuneryError):
        client.files.download("file-9", tmp_path / "a.tar")
    assert list(tmp_path.iterdir()) == []
