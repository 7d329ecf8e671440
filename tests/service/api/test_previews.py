"""Rows as a job would train on them: of a file or as they are, for every method."""

import gzip
import json
from typing import Any

import httpx2
import pytest

from service.api.previews.window import LineWindow
from service.core.errors import InvalidRequest
from tests.fakes.engine import FAKE_BASE
from tests.service.core.datasets.test_kinds import ROWS

pytestmark = pytest.mark.usefixtures("engine")

CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "é!"}]}


def preview(http: httpx2.Client, **body: Any) -> dict[str, Any]:
    answer = http.post("/v1/fine_tuning/preview", json={"model": FAKE_BASE.name, **body})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


def upload(http: httpx2.Client, content: bytes) -> str:
    files = {"file": ("rows.jsonl", content)}
    created: str = http.post("/v1/files", data={"purpose": "fine-tune"}, files=files).json()["id"]
    return created


def test_a_row_is_shown_token_by_token(http: httpx2.Client) -> None:
    shown = preview(http, rows=[CHAT])

    (row,) = shown["rows"]
    (sequence,) = row["sequences"]
    rendered = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\né!<|im_end|>\n"
    assert sequence["rendered"] == rendered
    trained = [
        text
        for text, weight in zip(sequence["token_texts"], sequence["weights"], strict=True)
        if weight
    ]
    assert trained == ["\ufffd", "\ufffd", "!", "<|im_end|>"]  # é is two tokens of a byte each
    assert sequence["num_trained_tokens"] == 4
    assert sequence["num_tokens"] == len(sequence["token_ids"])
    assert (sequence["cut"], shown["findings"], shown["has_more"]) == (None, [], False)
    assert (shown["model"], shown["method"]) == (FAKE_BASE.name, "supervised")


@pytest.mark.parametrize(("kind", "row"), ROWS.items())
def test_rows_of_every_method_are_shown(
    http: httpx2.Client, kind: Any, row: dict[str, Any]
) -> None:
    for method in kind.methods:
        shown = preview(http, rows=[row], method={"type": method})

        assert shown["findings"] == []
        assert [s["name"] for s in shown["rows"][0]["sequences"]] == (
            ["preferred", "rejected"] if method in ("dpo", "reward_model") else ["row"]
        )


def test_what_is_cut_is_shown(http: httpx2.Client) -> None:
    whole = preview(http, rows=[CHAT])["rows"][0]["sequences"][0]
    length = whole["num_tokens"] - 3

    shown = preview(http, rows=[CHAT], max_seq_length=length, over_length="truncate")

    sequence = shown["rows"][0]["sequences"][0]
    assert sequence["num_tokens"] == shown["max_seq_length"] == length
    assert sequence["cut"] == {"tokens": 3, "text": "!<|im_end|>\n"}
    assert [finding["code"] for finding in shown["findings"]] == ["truncated"]


def test_rows_that_are_not_trained_on_are_findings(http: httpx2.Client) -> None:
    shown = preview(http, rows=[{"messages": []}, CHAT, 7, {"text": "t"}], max_seq_length=10_000)

    assert [row["line"] for row in shown["rows"]] == [2]
    codes = ["missing_messages", "not_an_object", "other_method"]
    assert [finding["code"] for finding in shown["findings"]] == codes
    assert [finding["line"] for finding in shown["findings"]] == [1, 3, 4]
    assert shown["max_seq_length"] == FAKE_BASE.context_length


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_lines_of_a_file_keep_their_numbers(http: httpx2.Client, compress: Any) -> None:
    rows = [json.dumps({"prompt": "p", "completion": f"{n}"}) for n in range(6)]
    file_id = upload(http, compress("\n\n".join(rows).encode()))

    shown = preview(http, training_file=file_id, first_line=4, limit=2)

    assert [row["line"] for row in shown["rows"]] == [5, 7]
    assert shown["has_more"]
    assert not preview(http, training_file=file_id, first_line=11, limit=2)["has_more"]


def test_lines_too_far_behind_are_not_looked_for() -> None:
    window = LineWindow(first=10**9, limit=1)

    with pytest.raises(InvalidRequest, match="the first 64 MiB") as caught:
        list(window.lines(b"{}\n" * 300_000 for _ in range(80)))

    assert caught.value.param == "first_line"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"rows": [CHAT], "training_file": "file-1"}, 400),
        ({"training_file": "file-unknown"}, 400),
        ({"rows": []}, 400),
        ({"rows": [CHAT], "method": {"type": "magic"}}, 400),
        ({"rows": [CHAT], "model": "unknown"}, 404),
        ({"rows": [CHAT], "temperature": 1}, 400),
    ],
)
def test_requests_that_make_no_sense_are_refused(
    http: httpx2.Client, body: dict[str, Any], status: int
) -> None:
    answer = http.post("/v1/fine_tuning/preview", json={"model": FAKE_BASE.name, **body})

    assert answer.status_code == status, answer.text


def test_two_sources_are_refused_with_their_names(http: httpx2.Client) -> None:
    body = {"model": FAKE_BASE.name, "rows": [CHAT], "training_file": "file-1"}

    answer = http.post("/v1/fine_tuning/preview", json=body)

    assert "either training_file or rows" in answer.json()["error"]["message"]
