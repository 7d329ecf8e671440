import json
import re
from pathlib import Path

import pytest

from examples.support_desk.score import (
    CATEGORIES,
    KEYS,
    PRIORITIES,
    Question,
    count_exact,
    parse_answer,
    read_questions,
)

FOLDER = Path(__file__).parents[2] / "examples" / "support_desk"
TRAIN, HELD_OUT = FOLDER / "train.jsonl", FOLDER / "heldout.jsonl"

both_files = pytest.mark.parametrize("path", [TRAIN, HELD_OUT], ids=["train", "heldout"])


def mail(question: Question) -> str:
    return question.messages[-1]["content"]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9£']+", text.lower())


def word_sequences(path: Path, length: int) -> set[tuple[str, ...]]:
    mails = [words(mail(question)) for question in read_questions(path)]
    return {tuple(m[i : i + length]) for m in mails for i in range(len(m) - length + 1)}


def answer_texts(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["messages"][-1]["content"] for line in lines]


@both_files
def test_every_row_is_one_system_one_user_and_one_assistant_message(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert list(row) == ["messages"]
        assert [list(message) for message in row["messages"]] == [["role", "content"]] * 3
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]


def test_every_row_has_the_same_system_message() -> None:
    questions = read_questions(TRAIN) + read_questions(HELD_OUT)
    assert len({question.messages[0]["content"] for question in questions}) == 1


@both_files
def test_every_answer_is_the_bare_object_with_its_keys_in_order(path: Path) -> None:
    for text in answer_texts(path):
        fields = json.loads(text)
        assert tuple(fields) == KEYS
        assert json.dumps(fields, ensure_ascii=False, separators=(",", ":")) == text
        assert all(isinstance(value, str) and value for value in fields.values())


@both_files
def test_labels_come_from_the_closed_sets_and_all_of_them_occur(path: Path) -> None:
    expected = [question.expected for question in read_questions(path)]
    assert {answer.category for answer in expected} == CATEGORIES
    assert {answer.priority for answer in expected} == PRIORITIES


@both_files
def test_priority_is_low_exactly_where_only_advice_is_wanted(path: Path) -> None:
    for question in read_questions(path):
        assert (question.expected.priority == "low") == (question.expected.category == "advice")


@both_files
def test_the_product_stands_word_for_word_in_the_mail(path: Path) -> None:
    for question in read_questions(path):
        assert question.expected.product in mail(question)


@both_files
def test_the_reply_promises_what_the_priority_demands(path: Path) -> None:
    promises = {"urgent": "within the hour", "normal": "within two days"}
    for question in read_questions(path):
        reply = question.expected.reply
        kept = [priority for priority, promise in promises.items() if promise in reply]
        assert kept == [p for p in promises if p == question.expected.priority], reply


def test_twenty_rows_are_held_out_of_about_a_hundred() -> None:
    assert len(read_questions(HELD_OUT)) == 20
    assert 75 <= len(read_questions(TRAIN)) <= 95


def test_no_product_occurs_twice() -> None:
    products = [q.expected.product for q in read_questions(TRAIN) + read_questions(HELD_OUT)]
    assert len(set(products)) == len(products)


def test_no_word_of_a_held_out_product_occurs_in_a_training_mail() -> None:
    trained = {word for question in read_questions(TRAIN) for word in words(mail(question))}
    for question in read_questions(HELD_OUT):
        assert not trained & set(words(question.expected.product))


def test_training_and_held_out_mails_share_no_sequence_of_five_words() -> None:
    assert not word_sequences(TRAIN, 5) & word_sequences(HELD_OUT, 5)


def test_the_expected_answers_score_twenty_of_twenty() -> None:
    assert count_exact(answer_texts(HELD_OUT), read_questions(HELD_OUT)) == 20


@pytest.mark.parametrize("field", ["category", "priority", "product"])
def test_one_wrong_field_makes_an_answer_inexact(field: str) -> None:
    texts = answer_texts(HELD_OUT)
    texts[0] = json.dumps(json.loads(texts[0]) | {field: "other"})
    assert count_exact(texts, read_questions(HELD_OUT)) == 19


def test_the_wording_of_the_reply_is_not_scored() -> None:
    texts = [json.dumps(json.loads(text) | {"reply": "Hm."}) for text in answer_texts(HELD_OUT)]
    assert count_exact(texts, read_questions(HELD_OUT)) == 20


def test_an_answer_inside_prose_or_a_code_fence_is_found() -> None:
    text = answer_texts(HELD_OUT)[0]
    assert parse_answer(f"Here you are:\n```json\n{text}\n```") == parse_answer(text) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Please unplug it.",
        '{"category":"fault"',
        '{"category":"fault","priority":"low","product":"Otter"}',
        '{"category":"fault","priority":"low","product":["Otter"],"reply":"Hm."}',
    ],
    ids=["empty", "prose", "cut off", "key missing", "not a string"],
)
def test_a_text_without_the_whole_object_is_no_answer(text: str) -> None:
    assert parse_answer(text) is None


def test_a_row_that_holds_no_answer_is_refused_with_its_line_number(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"messages":[{"role":"assistant","content":"Hm."}]}\n', encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: the last message is not an answer object"):
        read_questions(rows)
