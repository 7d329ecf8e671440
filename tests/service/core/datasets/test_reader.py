"""A good file gives its rows; a bad one an error that names lines, faults and mends."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.datasets import Report, Row, RowKind, read_rows
from service.core.datasets.rows import ChatRow, CompletionRow
from service.core.errors import InvalidTrainingFile
from tests.service.core.datasets.test_lines import cut

CHAT = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
GOOD = json.dumps(CHAT).encode()


def read(*lines: bytes, kind: RowKind = RowKind.CONVERSATION) -> list[Row]:
    report = Report()
    rows = list(read_rows([b"\n".join(lines)], kind=kind, report=report))
    report.raise_if_errors("training_file")
    return rows


def complaint(*lines: bytes, kind: RowKind = RowKind.CONVERSATION) -> str:
    with pytest.raises(InvalidTrainingFile) as caught:
        read(*lines, kind=kind)
    assert caught.value.param == "training_file"
    return str(caught.value)


def chat(*messages: Mapping[str, Any], **more: Any) -> bytes:
    return json.dumps({"messages": messages, **more}).encode()


def assistant_calling(function: Mapping[str, str]) -> Mapping[str, Any]:
    return {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}


@given(
    answers=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1)),
    sizes=st.lists(st.integers(0, 40)),
    end=st.sampled_from([b"", b"\n", b"\r\n", b"\r\n\n \n"]),
    ascii_only=st.booleans(),
)
def test_every_text_comes_back_whole(
    answers: list[str], sizes: list[int], end: bytes, ascii_only: bool
) -> None:
    rows = [{"prompt": answer, "completion": answer} for answer in answers]
    text = b"".join(
        json.dumps(row, ensure_ascii=ascii_only).encode() + (end or b"\n") for row in rows
    )

    found = list(read_rows(cut(text, sizes), kind=RowKind.CONVERSATION, report=Report()))

    step = 1 if end in (b"", b"\n", b"\r\n") else 3
    assert found == [
        CompletionRow(1 + step * i, answer, answer) for i, answer in enumerate(answers)
    ]


@given(line=st.binary(max_size=30))
def test_any_bytes_are_a_row_or_a_complaint(line: bytes) -> None:
    assert _rows_or_complaint(line)


_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
_keys = st.sampled_from(
    ["role", "content", "weight", "tool_calls", "name", "function", "arguments", "type", "text"]
)
_shapes = st.recursive(
    st.sampled_from(["user", "assistant", "text", "{}", 0, 1, None]) | _json_values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)


@given(messages=_shapes, tools=st.none() | _shapes)
def test_any_json_in_the_place_of_messages_is_a_row_or_a_complaint(
    messages: Any, tools: Any
) -> None:
    line = json.dumps({"messages": messages, "tools": tools}).encode()

    assert _rows_or_complaint(line)


def _rows_or_complaint(line: bytes) -> bool:
    """Whether reading ends in one of the two; a blank line counts as no row."""
    try:
        rows = read(line)
    except InvalidTrainingFile as error:
        return str(error).startswith("Line ")
    return not line.strip() or isinstance(rows[0], ChatRow | CompletionRow)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{", "Line 2 is not valid JSON"),
        (b"[]", "Line 2 is not a JSON object"),
        (b"{} {}", "Line 2 is not valid JSON"),
        (b'{"a": NaN}', "Line 2 is not valid JSON (NaN is not JSON)"),
        (b"\0", "Line 2 is not valid JSON"),
        (b"\xff\xfe{", "Line 2 is not UTF-8 (byte 1)"),
        (b'{"prompt": "\xc3', "Line 2 is not UTF-8 (byte 13)"),
        (b'{"prompt": "\\ud83d", "completion": "x"}', "Line 2 contains half of a surrogate pair"),
        (b"[" * 1_000_000, "Line 2 is nested too deeply"),
        (b'{"a": ' * 1_000_000, "Line 2 is nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "Line 2 is not valid JSON"),
        (b"{}", 'Line 2 has neither "messages" nor "prompt"'),
        (b'{"prompt": 1, "completion": "x"}', 'Line 2 needs "prompt" as a string'),
        (b'{"prompt": "x"}', 'Line 2 needs "completion" as a string'),
        (b'{"prompt": "x", "completion": ""}', 'Line 2 has an empty "completion"'),
        (b'{"prompt": "x", "completion": "y"}', "Line 2 has another format than line 1"),
        (chat(), 'Line 2 needs "messages" as a list with at least one message'),
        (chat({"role": "user", "content": "q"}), "Line 2 has no assistant message"),
        (chat(*CHAT["messages"], CHAT["messages"][0]), "Line 2 does not end with an assistant"),
        (chat({"role": "bot", "content": "x"}), 'message 1 has the role "bot"; use one of system'),
        (chat({"role": "user"}), 'message 1 (user) has no "content"; give it text'),
        (chat({"role": "user", "content": "x", "id": 1}), 'has the unknown key "id"; remove it'),
        (chat({"role": "user", "content": "x", "weight": 1}), "only assistant messages take"),
        (chat({"role": "assistant", "content": "x", "weight": 2}), "has the weight 2; use 0 or 1"),
        (chat({"role": "assistant", "content": " "}), "message 1 is an empty assistant message"),
        (
            chat({"role": "user", "content": [{"type": "image_url"}]}),
            'message 1 has a content part "image_url"; only text is trained on',
        ),
        (
            chat(
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "["}}]}
            ),
            'message 1 calls "f" with arguments that are not a string holding a JSON object',
        ),
        (chat(*CHAT["messages"], tools=[{"name": "f"}]), 'Line 2 needs "tools" as a list of'),
    ],
)
def test_a_bad_line_is_named_with_what_is_wrong(line: bytes, expected: str) -> None:
    assert expected in complaint(GOOD, line, GOOD)


def test_a_byte_order_mark_is_no_fault_at_the_beginning_and_one_elsewhere() -> None:
    mark = "\ufeff".encode()

    assert len(read(mark + GOOD)) == 1
    assert "Line 2 is not valid JSON" in complaint(GOOD, mark + GOOD)


def test_several_bad_lines_are_told_at_once_and_not_too_many() -> None:
    message = complaint(GOOD, b"{", b"", b"{}", *[b"["] * 100)

    assert "Line 2 is not valid JSON" in message
    assert "Line 4 has neither" in message
    assert "Line 7 is not valid JSON" in message
    assert "Line 8" not in message
    assert message.endswith("(97 more faults are in the file's report.)")


def test_a_long_value_is_shortened_in_the_message() -> None:
    assert len(complaint(chat({"role": "r" * 10_000, "content": "x"}))) < 300


def test_a_line_that_is_too_long_is_named() -> None:
    message = complaint(GOOD, b"x" * (16 * 1024**2 + 1))

    assert "Line 2 is longer than 16 MiB; split or shorten it" in message
