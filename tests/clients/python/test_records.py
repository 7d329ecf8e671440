"""What jobs leave on record and what is in data: event streams, and how commands show the rest."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.clients.python.replies import FILE, ScriptedServer, answer, event, job, listed, model
from tests.clients.python.test_cli import Terminal
from tunery import APIResponseError, JobEvent

FINDING = {
    "line": 3,
    "code": "invalid_json",
    "severity": "error",
    "message": "Line 3 is no JSON.",
    "fix": "Mend it.",
}
REPORT: dict[str, Any] = {
    "model": "base",
    "methods": ["supervised"],
    "rows": 10,
    "usable_rows": 9,
    "tokens": 100,
    "trained_tokens": 40,
    "longest_row_tokens": 12,
    "errors": 1,
    "warnings": 0,
    "counts": [{"code": "invalid_json", "severity": "error", "count": 1}],
    "findings": [FINDING],
    "has_more": False,
}


def stream(*numbers: int, end: str | None = None) -> httpx2.Response:
    lines = [
        f"id: ftevent-{n}\nevent: fine_tuning.job.event\ndata: {json.dumps(event(n))}\n\n"
        for n in numbers
    ]
    lines += [f'event: end\ndata: {{"status": "{end}"}}\n\n'] if end else []
    headers = {"content-type": "text/event-stream"}
    return httpx2.Response(200, headers=headers, content="".join(lines).encode())


def report(status: str, result: Any = None) -> httpx2.Response:
    about = {"id": "report_1", "file_id": "file-1", "created_at": 1, "error": None}
    return answer({**about, "status": status, "result": result})


def verification(status: str, **result: Any) -> httpx2.Response:
    about = {"id": "verification_1", "job_id": "ftjob-1", "created_at": 1, "error": None}
    return answer({**about, "status": status, "result": result or None})


def verdict(name: str, **more: Any) -> httpx2.Response:
    losses = [{"step": 1, "original": 0.5, "replayed": 0.5}]
    members = {"verdict": name, "unmixed": True, "steps": 1, "metric": "train_loss"}
    return verification("succeeded", **members, losses=losses, **more)


def test_a_stream_that_breaks_off_goes_on_behind_its_last_event() -> None:
    server = ScriptedServer(stream(1, 2), stream(3, end="succeeded"))

    events = server.sync_client().fine_tuning.jobs.stream_events("ftjob-1")

    assert [each.id for each in events] == ["ftevent-1", "ftevent-2", "ftevent-3"]
    assert events.status == "succeeded"
    assert server.paths[0] == "/v1/fine_tuning/jobs/ftjob-1/events?stream=true"
    assert [r.headers.get("last-event-id") for r in server.requests] == [None, "ftevent-2"]


def test_the_asynchronous_stream_reads_the_same() -> None:
    server = ScriptedServer(stream(1), stream(2, end="failed"))

    async def read() -> tuple[list[JobEvent], str | None]:
        events = server.async_client().fine_tuning.jobs.stream_events("ftjob-1", after="ftevent-0")
        return [each async for each in events], events.status

    found, status = asyncio.run(read())
    assert [each.id for each in found] == ["ftevent-1", "ftevent-2"]
    assert status == "failed"
    assert server.requests[0].headers["last-event-id"] == "ftevent-0"


def test_what_is_no_stream_of_events_is_told() -> None:
    client = ScriptedServer(answer({})).sync_client()

    with pytest.raises(APIResponseError, match="not a stream"):
        list(client.fine_tuning.jobs.stream_events("ftjob-1"))


def test_events_are_followed_to_the_end_whose_exit_code_they_give() -> None:
    result = Terminal(stream(1, end="failed")).run("jobs", "events", "ftjob-1", "--follow")

    assert "event 1" in result.stdout
    assert result.exit_code == 100


def test_a_file_is_checked_line_by_line() -> None:
    result = Terminal(report("queued"), report("succeeded", REPORT)).run("files", "check", "file-1")

    assert result.exit_code == 100
    assert "9 of 10 usable" in result.stdout
    assert "Line 3 is no JSON." in result.stdout
    assert "Mend it." in result.stdout


def test_a_file_without_errors_passes() -> None:
    good = {**REPORT, "errors": 0, "findings": [], "counts": []}
    terminal = Terminal(report("succeeded", good))

    result = terminal.run("files", "check", "file-1", "--method", "dpo", "--model", "base")

    assert result.exit_code == 0
    assert terminal.server.paths[0].endswith("/report?model=base&method=dpo&limit=100")


def test_a_preview_marks_what_is_trained(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n")
    sequence = {
        "name": "row",
        "rendered": "ask:[red] fox",
        "token_ids": [1, 2, 3],
        "token_texts": ["ask:", "[red]", " fox"],
        "weights": [0, 1, 1],
        "num_tokens": 3,
        "num_trained_tokens": 2,
        "cut": None,
    }
    shown = {
        "model": "base",
        "method": "supervised",
        "max_seq_length": 64,
        "rows": [{"line": 1, "sequences": [sequence]}],
        "findings": [],
        "has_more": True,
    }
    terminal = Terminal(listed(model("base")), answer(FILE), answer(shown))

    result = terminal.run("preview", str(path), "--truncate", "--lines", "1")

    assert result.exit_code == 0, result.output
    assert "line 1: 3 tokens, 2 trained" in result.stdout
    assert "ask:«[red] fox»" in result.stdout
    assert "--first-line 2" in result.stderr
    assert terminal.server.json(2)["over_length"] == "truncate"


def test_texts_are_classified() -> None:
    data = [
        {"index": 0, "label": "fox", "probs": {"owl": 0.25, "fox": 0.75}},
        {"index": 1, "score": 1.5},
    ]
    terminal = Terminal(answer({"model": "ft:x", "data": data}))

    result = terminal.run("classify", "ft:x", "red", "grey")

    assert terminal.server.json() == {"model": "ft:x", "input": ["red", "grey"]}
    assert "fox 0.750, owl 0.250" in result.stdout
    assert "1.5000" in result.stdout


def test_curves_and_rows_are_tables() -> None:
    series = {"train_loss": [{"step": 1, "value": 0.5}], "valid_loss": [{"step": 2, "value": 3}]}
    curves = {"job_id": "ftjob-1", "total_steps": 2, "series": series}
    shown = Terminal(answer(curves)).run("jobs", "metrics", "ftjob-1").stdout.splitlines()
    assert [line.split() for line in shown] == [
        ["step", "train_loss", "valid_loss"],
        ["1", "0.5", "–"],
        ["2", "–", "3"],
    ]

    page = {"data": [{"line": 7, "losses": [0.25, None]}], "total": 2, "has_more": True}
    terminal = Terminal(answer(page))
    result = terminal.run("jobs", "rows", "ftjob-1", "--limit", "1")
    assert result.stdout.splitlines()[1].split() == ["7", "0.25", "–"]
    assert "--offset 1" in result.stderr
    assert terminal.server.paths == [
        "/v1/fine_tuning/jobs/ftjob-1/rows?kind=hardest&offset=0&limit=1"
    ]


@pytest.mark.parametrize(
    ("name", "code"), [("equal", 0), ("within_tolerance", 0), ("different", 100)]
)
def test_a_verification_says_its_verdict_and_gives_its_exit_code(name: str, code: int) -> None:
    terminal = Terminal(verification("queued"), verdict(name))

    result = terminal.run("jobs", "verify", "ftjob-1", "--steps", "3")

    assert result.exit_code == code
    assert name.replace("_", " ") in result.stdout
    assert "unmixed" in result.stdout
    assert terminal.server.json() == {"steps": 3}


def test_a_receipt_that_was_kept_is_sent_and_its_contradictions_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    path.write_text('{"seed": 8}')
    wrong = [{"name": "seed", "receipt": 8, "found": 7}]
    terminal = Terminal(verification("queued"), verdict("different", differences=wrong))

    result = terminal.run("jobs", "verify", "ftjob-1", "--receipt", str(path))

    assert terminal.server.json() == {"steps": 10, "receipt": {"seed": 8}}
    assert ["seed", "8", "7"] in [line.split() for line in result.stdout.splitlines()]


def test_every_method_can_be_asked_for(tmp_path: Path) -> None:
    grader = tmp_path / "grader.json"
    grader.write_text('{"type": "string_check"}')
    terminal = Terminal(*(answer(job()) for _ in range(3)))
    create = ("jobs", "create", "file-1", "--model", "base")

    terminal.run(
        *create,
        *[
            "--method",
            "dpo",
            "--loss",
            "ipo",
            "--beta",
            "0.2",
            "-H",
            "gamma=0.5",
            "--tuning",
            "full",
        ],
    )
    terminal.run(*create, "--method", "reinforcement", "--grader", str(grader), "--exact")
    terminal.run(
        *create,
        *["--method", "classification", "--method-option", "pooling=mean", "--tuning", "head"],
        *("--tuning-option", "hidden_layers=[64, 32]", "--learning-rate", "0.01"),
    )

    dpo, reinforcement, classification = (terminal.server.json(n) for n in range(3))
    assert dpo["method"] == {
        "type": "dpo",
        "dpo": {"loss": "ipo", "hyperparameters": {"beta": 0.2, "gamma": 0.5}},
    }
    assert dpo["tuning"] == {"type": "full"}
    assert reinforcement["method"]["reinforcement"]["grader"] == {"type": "string_check"}
    assert reinforcement["exact"] is True
    assert classification["method"]["classification"] == {
        "pooling": "mean",
        "hyperparameters": {"learning_rate": 0.01},
    }
    assert classification["tuning"] == {"type": "head", "hidden_layers": [64, 32]}


def test_a_value_without_a_key_is_a_wrong_command_line() -> None:
    result = Terminal().run("jobs", "create", "file-1", "--model", "base", "-H", "beta")

    assert result.exit_code == 2
    assert "KEY=VALUE" in result.output
