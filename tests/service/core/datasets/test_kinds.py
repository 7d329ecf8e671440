"""Each method has rows of its own; a row of another says whose it is."""

import json
from typing import Any

import pytest

from service.core.datasets import (
    LabelledRow,
    PreferenceRow,
    ReinforcementRow,
    RowKind,
    TextRow,
)
from tests.service.core.datasets.test_reader import complaint, read

USER = {"role": "user", "content": "q"}
GOOD, BAD = {"role": "assistant", "content": "good"}, {"role": "assistant", "content": "bad"}
TOOLS = [{"type": "function", "function": {"name": "f"}}]
ROWS: dict[RowKind, dict[str, Any]] = {
    RowKind.CONVERSATION: {"messages": [USER, GOOD]},
    RowKind.PREFERENCE: {
        "input": {"messages": [USER], "tools": TOOLS, "parallel_tool_calls": True},
        "preferred_output": [GOOD],
        "non_preferred_output": [BAD],
    },
    RowKind.PROMPT: {"messages": [USER], "answer": 4},
    RowKind.TEXT: {"text": "It is raining."},
    RowKind.LABELLED: {"text": "It is raining.", "label": "weather"},
}


def line(row: object) -> bytes:
    return json.dumps(row).encode()


def preference(**changes: Any) -> bytes:
    return line(ROWS[RowKind.PREFERENCE] | changes)


def test_a_preference_has_a_conversation_and_two_answers() -> None:
    old_names = {
        "input": {"messages": [USER]},
        "preferred_completion": [GOOD],
        "non_preferred_completion": [BAD],
    }

    rows = read(preference(), line(old_names), kind=RowKind.PREFERENCE)

    assert rows == [
        PreferenceRow(1, (USER,), tuple(TOOLS), GOOD, BAD),
        PreferenceRow(2, (USER,), None, GOOD, BAD),
    ]


def test_what_else_a_prompt_has_is_the_graders_item() -> None:
    row = {"messages": [USER], "tools": TOOLS, "answer": {"x": 1}, "text": "t", "label": ["l"]}

    (found,) = read(line(row), kind=RowKind.PROMPT)

    item = {"answer": {"x": 1}, "text": "t", "label": ["l"]}
    assert found == ReinforcementRow(1, (USER,), tuple(TOOLS), item)


def test_text_is_taken_as_it_is() -> None:
    assert read(line({"text": " a\n"}), kind=RowKind.TEXT) == [TextRow(1, " a\n")]


def test_labels_are_one_or_many_for_texts_and_for_conversations() -> None:
    one = read(line({"messages": [USER, GOOD, USER], "label": "a"}), kind=RowKind.LABELLED)
    many = read(
        line({"text": "t", "label": ["b", "a", "b"]}),
        line({"text": "u", "label": []}),
        kind=RowKind.LABELLED,
    )

    assert one == [LabelledRow(1, None, (USER, GOOD, USER), ("a",), is_multi=False)]
    assert many == [
        LabelledRow(1, "t", None, ("b", "a"), is_multi=True),
        LabelledRow(2, "u", None, (), is_multi=True),
    ]


@pytest.mark.parametrize("kind", RowKind)
@pytest.mark.parametrize("other", RowKind)
def test_a_row_of_another_method_says_whose_it_is(kind: RowKind, other: RowKind) -> None:
    if kind is other:
        assert read(line(ROWS[kind]), kind=kind)
    elif (kind, other) != (RowKind.TEXT, RowKind.LABELLED):  # has a text too
        assert other.methods[0] in complaint(line(ROWS[other]), kind=kind)


def test_every_method_has_its_rows() -> None:
    for kind in RowKind:
        assert all(RowKind.of_method(method) is kind for method in kind.methods)


@pytest.mark.parametrize(
    ("kind", "row", "expected"),
    [
        (RowKind.PREFERENCE, {"preferred_output": [GOOD]}, 'needs "input" as an object'),
        (RowKind.PREFERENCE, {"input": {}}, 'needs "input.messages" as a list with at least one'),
        (RowKind.PREFERENCE, {"input": {"messages": [USER]}}, 'needs "preferred_output" as a list'),
        (RowKind.TEXT, {"text": 1}, 'needs "text" as a string'),
        (RowKind.TEXT, {"text": " "}, 'has an empty "text"; fill it or remove the line'),
        (RowKind.LABELLED, {"text": "t", "label": 1}, "has the label 1; give a string, or a list"),
        (RowKind.LABELLED, {"text": "t", "label": [""]}, 'has the label ""; use 1 to 256'),
        (RowKind.LABELLED, {"text": "t", "messages": [USER], "label": "a"}, "keep one of them"),
        (RowKind.PROMPT, {"messages": [USER, GOOD]}, "ends with a message by the assistant"),
        (RowKind.PROMPT, {"messages": [GOOD | {"weight": 1}, USER]}, "only supervised rows take"),
        (RowKind.CONVERSATION, {"messages": [USER], "label": "a"}, "classification"),
    ],
)
def test_a_bad_row_of_any_kind_says_what_is_wrong(
    kind: RowKind, row: dict[str, Any], expected: str
) -> None:
    assert expected in complaint(line(row), kind=kind)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"input": {"messages": [USER, GOOD]}}, "input that ends with an assistant message"),
        ({"preferred_output": [GOOD, GOOD]}, '"preferred_output" as a list of one assistant'),
        ({"preferred_output": [USER]}, 'has a "preferred_output" by the user'),
        ({"non_preferred_output": [{"role": "assistant", "content": ""}]}, "is an empty assistant"),
        ({"non_preferred_output": [GOOD]}, "two outputs that are the same"),
    ],
)
def test_a_preference_that_prefers_nothing_is_refused(
    changes: dict[str, Any], expected: str
) -> None:
    assert expected in complaint(preference(**changes), kind=RowKind.PREFERENCE)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{"text": "t", "label": "a"}, {"text": "t", "label": ["a"]}], "has a list of labels, and"),
        ([{"text": "t", "label": ["a"]}, {"text": "t", "label": "a"}], "has one label, and line 1"),
        ([{"text": "t", "label": "a"}, {"messages": [USER], "label": "a"}], "has another format"),
    ],
)
def test_labelled_rows_are_all_alike(rows: list[dict[str, Any]], expected: str) -> None:
    message = complaint(*map(line, rows), kind=RowKind.LABELLED)

    assert message.startswith("Line 2 ")
    assert expected in message
