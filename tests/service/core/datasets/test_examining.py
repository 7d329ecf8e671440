"""A file seen with a base's eyes: what is trained, and every finding with its line and code."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest

from service.core.datasets import (
    EncodedRow,
    Examination,
    LengthLimit,
    Report,
    RowKind,
    SeenRows,
    Severity,
    TextRow,
    examine,
)
from service.core.text import TextAssets, TextCodec
from tests.service.core.datasets.test_kinds import BAD, GOOD, ROWS, USER

LIMIT = LengthLimit(1000)
LONG = {"role": "assistant", "content": "a" * 100}


class Examiner:
    """Examines rows one after the other, as the files of one job."""

    def __init__(self, codec: TextCodec) -> None:
        self.codec = codec
        self.seen = SeenRows()
        self.report = Report()

    def examine(
        self,
        *rows: object,
        kind: RowKind = RowKind.CONVERSATION,
        limit: int = 1000,
        over_length: Literal["error", "truncate", "skip"] = "error",
        param: str = "training_file",
    ) -> list[EncodedRow]:
        self.report = Report()
        examination = Examination(
            kind=kind,
            codec=self.codec,
            limit=LengthLimit(limit, over_length),
            param=param,
            seen=self.seen,
        )
        lines = [json.dumps(row).encode() + b"\n" for row in rows]
        return [encoded for _, encoded in examine(lines, examination, self.report)]

    def found(self) -> list[tuple[int | None, str, Severity]]:
        return [(f.line, f.code, f.severity) for f in self.report.kept]


@pytest.fixture
def examiner(codec: TextCodec) -> Examiner:
    return Examiner(codec)


def chat(question: str, answer: str = "a", **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": messages, **more}


@pytest.mark.parametrize("kind", RowKind)
def test_rows_of_every_kind_become_tokens(examiner: Examiner, kind: RowKind) -> None:
    (encoded,) = examiner.examine(ROWS[kind], kind=kind)

    names = ["preferred", "rejected"] if kind is RowKind.PREFERENCE else ["row"]
    assert list(encoded) == names
    assert examiner.report.kept == []
    assert (examiner.report.rows, examiner.report.usable_rows) == (1, 1)
    assert examiner.report.tokens == sum(len(s.tokens) for s in encoded.values())
    is_weighed = kind not in (RowKind.PROMPT, RowKind.LABELLED)
    assert all(bool(sequence.trained) is is_weighed for sequence in encoded.values())


def test_only_the_two_answers_of_a_preference_are_weighed(examiner: Examiner) -> None:
    row = ROWS[RowKind.PREFERENCE] | {"input": {"messages": [USER, GOOD, USER]}}

    (encoded,) = examiner.examine(row, kind=RowKind.PREFERENCE)

    end = "<|im_end|>"
    trained = {
        name: "".join(
            examiner.codec.token_bytes(token).decode()
            for token, weight in zip(sequence.tokens, sequence.weights, strict=True)
            if weight
        )
        for name, sequence in encoded.items()
    }
    assert trained == {"preferred": GOOD["content"] + end, "rejected": BAD["content"] + end}


def test_a_long_row_is_an_error_unless_the_job_says_what_to_do(examiner: Examiner) -> None:
    assert examiner.examine(chat("q", "a" * 100), limit=100) == []

    assert examiner.found() == [(1, "over_length", Severity.ERROR)]
    assert "set over_length to" in examiner.report.kept[0].message


def test_a_long_row_can_be_left_out_and_is_told(examiner: Examiner) -> None:
    rows = examiner.examine(chat("q", "a" * 100), chat("p"), limit=100, over_length="skip")

    assert len(rows) == 1
    assert examiner.found() == [(1, "skipped", Severity.WARNING)]
    assert (examiner.report.rows, examiner.report.usable_rows) == (2, 1)
    assert examiner.report.longest_row > 100


def test_a_long_row_can_be_cut_and_is_told(examiner: Examiner) -> None:
    (encoded,) = examiner.examine(chat("q", "a" * 100), limit=100, over_length="truncate")

    assert len(encoded["row"].tokens) == 100
    assert examiner.found() == [(1, "truncated", Severity.WARNING)]


def test_a_row_of_which_nothing_trained_is_left_is_left_out(examiner: Examiner) -> None:
    assert examiner.examine(chat("q" * 100), limit=100, over_length="truncate") == []

    assert examiner.found() == [(1, "skipped", Severity.WARNING)]
    assert "nothing is left to train" in examiner.report.kept[0].message


def test_a_long_prompt_is_left_out_and_never_cut(examiner: Examiner) -> None:
    row = {"messages": [{"role": "user", "content": "q" * 100}]}

    assert examiner.examine(row, kind=RowKind.PROMPT, limit=100, over_length="truncate") == []

    assert examiner.found() == [(1, "skipped", Severity.WARNING)]


def test_what_the_model_never_sees_may_hold_special_tokens(examiner: Examiner) -> None:
    examiner.examine({"messages": [USER], "answer": "<|im_end|>"}, kind=RowKind.PROMPT)

    assert examiner.found() == []


def test_a_long_text_is_split_so_that_every_token_is_predicted_once(examiner: Examiner) -> None:
    text = "".join(chr(65 + n % 26) for n in range(250))

    pieces = examiner.examine({"text": text}, kind=RowKind.TEXT, limit=100)

    assert examiner.found() == [(1, "split", Severity.INFO)]
    whole = examiner.examine({"text": text + " "}, kind=RowKind.TEXT)[0]["row"].tokens
    joined = [*pieces[0]["row"].tokens]
    for before, piece in pairwise(pieces):
        assert piece["row"].tokens[0] == before["row"].tokens[-1]
        joined += piece["row"].tokens[1:]
    assert joined[:-1] == [*whole[:-2]]
    assert all(len(piece["row"].tokens) <= 100 for piece in pieces)
    assert all(piece["row"].weights[0] == 0 for piece in pieces)


def test_special_tokens_duplicates_and_unread_keys_are_warned_of(examiner: Examiner) -> None:
    rows = [
        chat("q", "<|im_end|>"),
        chat("p"),
        chat("p"),
        chat("r", id=7),
        chat(" "),
        chat("a\0b"),
        {"prompt": "x", "completion": "y", "messages": chat("s")["messages"]},
    ]

    assert len(examiner.examine(*rows)) == len(rows)

    assert examiner.found() == [
        (1, "special_token", Severity.WARNING),
        (3, "duplicate", Severity.WARNING),
        (4, "unknown_key", Severity.WARNING),
        (5, "empty_message", Severity.WARNING),
        (6, "nul_character", Severity.WARNING),
        (7, "unknown_key", Severity.WARNING),
        (7, "unknown_key", Severity.WARNING),
    ]


def test_a_row_of_the_training_file_in_the_validation_file_is_warned_of(
    examiner: Examiner,
) -> None:
    examiner.examine(chat("q"), chat("p"))
    examiner.examine(chat("r"), chat("p"), param="validation_file")

    assert examiner.found() == [(2, "overlap", Severity.WARNING)]
    assert "also line 2 of the training file" in examiner.report.kept[0].message


def test_labels_that_contradict_each_other_are_warned_of(examiner: Examiner) -> None:
    rows = [
        {"text": "t", "label": ["a", "b"]},
        {"text": "t", "label": ["b", "a"]},
        {"text": "t", "label": ["a"]},
    ]

    examiner.examine(*rows, kind=RowKind.LABELLED)

    assert [code for _, code, _ in examiner.found()] == ["duplicate", "contradicting_label"]


def test_messages_that_train_nothing_or_do_not_render_are_errors(examiner: Examiner) -> None:
    masked = {"messages": [USER, GOOD | {"weight": 0}]}

    assert examiner.examine(masked) == []

    assert examiner.found() == [(1, "nothing_trained", Severity.ERROR)]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"city": "Rome"}, "wrong_arguments"),
        (json.dumps(json.dumps({"city": "Rome"})), "arguments_encoded_twice"),
        ("[]", "wrong_arguments"),
        ('{"city": "\\ud800"}', "lone_surrogate"),
        ('{"city": ' + "[" * 70 + "]" * 70 + "}", "nested_too_deeply"),
        (None, "wrong_arguments"),
    ],
)
def test_arguments_are_a_string_that_holds_an_object_once(
    examiner: Examiner, arguments: Any, code: str
) -> None:
    call = {"function": {"name": "f", "arguments": arguments}}
    rows = [
        {"messages": [USER, {"role": "assistant", "tool_calls": [call]}]},
        {"messages": [USER, {"role": "assistant", "function_call": call["function"]}]},
    ]

    assert examiner.examine(*rows) == []

    assert [found for _, found, _ in examiner.found()] == [code, code]
    if "arguments" in code:
        assert 'write "arguments": "{' in examiner.report.kept[0].mend


def test_older_functions_are_tools(examiner: Examiner) -> None:
    function = {"name": "f", "parameters": {}}
    tools = chat("q", tools=[{"type": "function", "function": function}])

    examiner.examine(tools, chat("q", functions=[function]))

    assert [code for _, code, _ in examiner.found()] == ["duplicate"]


def test_a_key_that_is_there_twice_is_warned_of_even_where_the_row_is_bad(codec: TextCodec) -> None:
    lines = [
        b'{"text": "a", "text": "b"}\n',
        b'{"text": "c", "more": {"x": 1, "y": 2, "x": 3}}\n',
        b'{"text": "d", "text": ""}\n',
    ]
    report = Report()

    rows = [row for row, _ in examine(lines, Examination(RowKind.TEXT, codec, LIMIT), report)]

    assert [row.text for row in rows if isinstance(row, TextRow)] == ["b", "c"]
    assert [(f.line, f.code) for f in report.kept] == [
        (1, "repeated_key"),
        (2, "repeated_key"),
        (2, "unknown_key"),
        (3, "repeated_key"),
        (3, "empty_text"),
    ]
    assert '"x" twice' in report.kept[1].message


def call(**more: object) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f", "arguments": "{}"}, **more}


@pytest.mark.parametrize(
    ("before", "answer", "is_answered"),
    [
        ([{"role": "assistant", "tool_calls": [call(id="a")]}], {"tool_call_id": "a"}, True),
        ([{"role": "assistant", "tool_calls": [call(id="a")]}], {"tool_call_id": "b"}, False),
        ([{"role": "assistant", "tool_calls": [call()]}], {}, True),
        ([{"role": "assistant", "tool_calls": [call()]}], {"tool_call_id": "a"}, True),
        ([{"role": "assistant", "tool_calls": [call(id="a")]}], {"tool_call_id": ["a"]}, False),
        ([], {"tool_call_id": "a"}, False),
        ([], {}, False),
        ([{"role": "assistant", "function_call": call()["function"]}], {"role": "function"}, True),
        ([], {"role": "function"}, False),
    ],
)
def test_a_tools_answer_needs_a_call(
    examiner: Examiner, before: list[Any], answer: dict[str, Any], is_answered: bool
) -> None:
    messages = [USER, *before, {"role": "tool", "content": "4", **answer}, GOOD]

    examiner.examine({"messages": messages})

    found = [] if is_answered else [(1, "answers_no_call", Severity.WARNING)]
    assert examiner.found() == found
    assert examiner.report.usable_rows == 1


def test_a_row_that_trains_no_token_is_an_error(examiner: Examiner, assets: TextAssets) -> None:
    """Cutting took nothing away: the text is one token, which nothing predicts."""
    examiner.codec = TextCodec(replace(assets, special_tokens={}))

    assert examiner.examine({"text": "a"}, {"text": "ab"}, kind=RowKind.TEXT)

    assert examiner.found() == [(1, "nothing_trained", Severity.ERROR)]
