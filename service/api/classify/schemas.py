"""Wire shapes of classification, and how a head's numbers become them."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from service.api.wire import Answer
from service.core.engine_protocol import Classified

_THRESHOLD = 0.5


class Classification(Answer):
    """What a head makes of one input; what it does not speak of is null."""

    index: int
    label: str | None = None
    """The likeliest, of a model with one label an input."""
    labels: list[str] | None = None
    """Those with a probability of at least 0.5, of a model with any number."""
    probs: dict[str, float] | None = None
    """Of each label."""
    score: float | None = None
    """Of a reward model; only differences between scores mean something."""


class ClassificationUsage(Answer):
    """Tokens, special ones included."""

    prompt_tokens: int
    total_tokens: int


class ClassificationList(Answer):
    """One answer for each input."""

    object: Literal["list"] = "list"
    data: list[Classification]
    model: str
    usage: ClassificationUsage


def to_classifications(found: Classified) -> list[Classification]:
    """In the order of the rows."""
    return [_to_classification(found, index, row) for index, row in enumerate(found.scores)]


def _to_classification(found: Classified, index: int, scores: Sequence[float]) -> Classification:
    if found.kind == "reward":
        return Classification(index=index, score=scores[0])
    if found.multi_label:
        probs = dict(zip(found.labels, map(_sigmoid, scores), strict=True))
        labels = [label for label, prob in probs.items() if prob >= _THRESHOLD]
        return Classification(index=index, labels=labels, probs=probs)
    probs = dict(zip(found.labels, _softmax(scores), strict=True))
    return Classification(index=index, label=_likeliest(probs), probs=probs)


def _likeliest(probs: Mapping[str, float]) -> str:
    return max(probs, key=lambda label: probs[label])


def _softmax(scores: Sequence[float]) -> list[float]:
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def _sigmoid(score: float) -> float:
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    power = math.exp(score)
    return power / (1 + power)
