"""What graders ask models, and how an answer is read."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from service.core.graders.outcome import Flags, GradingFailed
from service.core.graders.specs import LabelModel, ModelGrader, SamplingParams, ScoreModel
from service.core.graders.templates import Observation


@dataclass(frozen=True)
class Question:
    """A conversation to be continued."""

    model: str
    messages: Sequence[tuple[str, str]]
    """Role and text."""
    sampling: SamplingParams


@dataclass(frozen=True)
class ModelAnswer:
    """How the model continues it."""

    text: str
    tokens: int
    """Of question and answer."""
    is_truncated: bool


AskModel = Callable[[Question], Awaitable[ModelAnswer]]


def question(grader: ModelGrader, observation: Observation, form: str) -> Question:
    """Raises GradingFailed. `form` says what the answer shall look like."""
    messages = [(each.role, observation.render(each.text)) for each in grader.input]
    if messages[0][0] in ("system", "developer"):
        role, text = messages[0]
        messages[0] = (role, f"{text}\n\n{form}")
    else:
        messages.insert(0, ("system", form))
    return Question(grader.model, messages, grader.sampling_params or SamplingParams())


def score_form(grader: ScoreModel) -> str:
    low, high = grader.bounds
    return (
        'Answer with one JSON object and nothing else: {"score": NUMBER}, where NUMBER lies '
        f"between {low:g} and {high:g}."
    )


def label_form(grader: LabelModel) -> str:
    return (
        'Answer with one JSON object and nothing else: {"label": LABEL}, where LABEL is one of '
        f"{json.dumps(grader.labels, ensure_ascii=False)}."
    )


def read_score(grader: ScoreModel, answer: ModelAnswer) -> float:
    """Raises GradingFailed."""
    score = _member(answer, "score")
    low, high = grader.bounds
    is_number = isinstance(score, int | float) and not isinstance(score, bool)
    if not is_number or not low <= score <= high:  # type: ignore[operator]
        raise GradingFailed(Flags(model_grader_parse_error=True))
    return float(score)  # type: ignore[arg-type]


def read_label(grader: LabelModel, answer: ModelAnswer) -> float:
    """Raises GradingFailed."""
    label = _member(answer, "label")
    if label not in grader.labels:
        raise GradingFailed(Flags(model_grader_parse_error=True))
    return float(label in grader.passing_labels)


def _member(answer: ModelAnswer, name: str) -> object:
    """Of the first JSON object in the answer: models like to wrap it in words."""
    if not answer.text.strip():
        raise GradingFailed(Flags(model_grader_refusal_error=True))
    start = answer.text.find("{")
    try:
        fields, _ = json.JSONDecoder().raw_decode(answer.text[start:] if start >= 0 else "")
        return fields[name]
    except (ValueError, KeyError, RecursionError):
        raise GradingFailed(
            Flags(model_grader_parse_error=True, truncated_observation_error=answer.is_truncated)
        ) from None
