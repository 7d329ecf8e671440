"""Prompts out of rows, and how answers are compared."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunery.migration.capture.equivalence import Comparison
from tunery.migration.capture.prompts import Prompt, read_prompts

USER = {"role": "user", "content": "Hello"}
SAID = {"role": "assistant", "content": "Hi."}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def prompts(folder: Path, *rows: Any) -> list[Prompt]:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return read_prompts(path)


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"messages": [USER, SAID]}, [USER]),
        ({"messages": [USER, SAID, USER, SAID, SAID]}, [USER, SAID, USER]),
        ({"messages": [USER, {**SAID, "weight": 0}, USER, SAID]}, [USER, SAID, USER]),
        ({"input": {"messages": [USER]}, "preferred_completion": [SAID]}, [USER]),
        ({"messages": [USER], "reference": "x"}, [USER]),
        ({"prompt": "Hello"}, [USER]),
    ],
)
def test_a_prompt_is_a_row_before_its_last_answer(
    tmp_path: Path, row: Any, messages: list[Any]
) -> None:
    (prompt,) = prompts(tmp_path, row)
    assert list(prompt.messages) == messages


def test_tools_go_with_the_prompt_and_equal_prompts_are_one(tmp_path: Path) -> None:
    with_tools = {"messages": [USER, SAID], "tools": [TOOL]}
    found = prompts(tmp_path, with_tools, {"messages": [USER]}, "", with_tools)
    assert [prompt.request().get("tools") for prompt in found] == [[TOOL], None]


@pytest.mark.parametrize("row", ["{", "[]", {"messages": []}, {"messages": [SAID]}, {"text": "a"}])
def test_a_row_without_a_prompt_is_named_by_its_line(tmp_path: Path, row: Any) -> None:
    with pytest.raises(ValueError, match="line 2"):
        prompts(tmp_path, {"prompt": "a"}, row)


def test_likeness_is_one_for_equal_answers_and_falls_with_what_differs() -> None:
    equal = Comparison("p", "The red fox", "The red fox\n")
    near = Comparison("p", "The red fox", "the red dog")
    far = Comparison("p", "The red fox", "")

    assert (equal.is_exact, near.is_exact, far.is_exact) == (True, False, False)
    assert equal.token_f1 == 1
    assert near.token_f1 == pytest.approx(2 / 3)
    assert far.token_f1 == 0
    assert equal.similarity > near.similarity > far.similarity == 0
    assert Comparison("p", "", "").token_f1 == 1
