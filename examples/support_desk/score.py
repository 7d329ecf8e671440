"""Score a support desk's answers: which of them name category, priority and product exactly.

The reply is free text, so it is read for pleasure and not scored.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

CATEGORIES = frozenset({"fault", "billing", "delivery", "advice"})
PRIORITIES = frozenset({"urgent", "normal", "low"})
KEYS = ("category", "priority", "product", "reply")


@dataclass(frozen=True)
class Answer:
    """What the desk answers to one mail."""

    category: str
    priority: str
    product: str
    reply: str


@dataclass(frozen=True)
class Question:
    """One mail as chat messages (system, user) with the answer that was expected."""

    messages: tuple[Mapping[str, str], ...]
    expected: Answer


def parse_answer(text: str) -> Answer | None:
    """The first JSON object in `text`, or None unless it has all four keys with strings.

    Words or a code fence around the object are forgiven, so that a model which was never
    shown the bare form is judged by what it says and not by how it wraps it.
    """
    start = text.find("{")
    if start < 0:
        return None
    try:
        found, _ = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None
    values = [found.get(key) for key in KEYS]
    if not all(isinstance(value, str) for value in values):
        return None
    return Answer(*values)


def is_exact(answer: Answer | None, expected: Answer) -> bool:
    """Whether category, priority and product all equal the expected ones, letter for letter."""
    return answer is not None and (answer.category, answer.priority, answer.product) == (
        expected.category,
        expected.priority,
        expected.product,
    )


def count_exact(texts: Iterable[str], questions: Iterable[Question]) -> int:
    """How many of the answers, given in the order of the questions, are exact.

    Raises ValueError when there are more or fewer answers than questions.
    """
    pairs = zip(texts, questions, strict=True)
    return sum(is_exact(parse_answer(text), question.expected) for text, question in pairs)


def read_questions(path: Path) -> list[Question]:
    """The rows of a chat JSONL file; the last message of each is the expected answer.

    Raises ValueError, naming the line, when that message is not an answer.
    """
    questions = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        *prompt, last = json.loads(line)["messages"]
        expected = parse_answer(last["content"])
        if expected is None:
            raise ValueError(f"{path}, line {number}: the last message is not an answer object")
        questions.append(Question(messages=tuple(prompt), expected=expected))
    return questions
