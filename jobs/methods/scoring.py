"""How well predicted labels meet the true ones."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

Labels = Sequence[int]
"""Of one row, as indices; exactly one unless several may be true at once."""


def predicted(scores: Sequence[float], *, is_multi_label: bool) -> Labels:
    """The likeliest label, or every label that is likelier than not."""
    if is_multi_label:
        return [index for index, score in enumerate(scores) if score > 0]
    return [max(range(len(scores)), key=scores.__getitem__)]


def label_report(
    truth: Sequence[Labels], answers: Sequence[Labels], names: Sequence[str]
) -> dict[str, Any]:
    """Precision, recall and F1 of each label, their plain mean, and the confusion matrix.

    A label that occurs neither in truth nor in the answers has no F1 and no part in the mean. The
    matrix has a row a true label and a column an answer; of several labels a row there is none.
    """
    support = Counter(label for row in truth for label in row)
    answered = Counter(label for row in answers for label in row)
    hits = Counter(
        label for row, said in zip(truth, answers, strict=True) for label in row if label in said
    )
    labels = {
        name: _of_label(hits[index], support[index], answered[index])
        for index, name in enumerate(names)
    }
    present = [found["f1"] for found in labels.values() if found["f1"] is not None]
    report: dict[str, Any] = {
        "macro_f1": sum(present) / len(present) if present else 0.0,
        "labels": labels,
    }
    if all(len(row) == 1 for row in [*truth, *answers]):
        matrix = [[0] * len(names) for _ in names]
        for (true,), (answer,) in zip(truth, answers, strict=True):
            matrix[true][answer] += 1
        report["confusion_matrix"] = matrix
    return report


def _of_label(hits: int, support: int, answered: int) -> dict[str, float | int | None]:
    return {
        "precision": hits / answered if answered else None,
        "recall": hits / support if support else None,
        "f1": 2 * hits / (support + answered) if support + answered else None,
        "support": support,
    }
