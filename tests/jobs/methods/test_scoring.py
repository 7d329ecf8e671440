"""F1 and confusion as scikit-learn defines them; a temperature that makes probabilities honest."""

import math
import random

import pytest

from jobs.methods.calibration import fit_temperature
from jobs.methods.scoring import label_report, predicted


def test_a_report_by_hand() -> None:
    truth, answers = [[0], [0], [0], [1], [2]], [[0], [0], [1], [1], [0]]

    report = label_report(truth, answers, ["a", "b", "c", "never seen"])

    a, b, c = (report["labels"][name] for name in "abc")
    assert (a["precision"], a["recall"], a["support"]) == (2 / 3, 2 / 3, 3)
    assert b["f1"] == pytest.approx(2 / 3)
    assert (c["f1"], c["precision"]) == (0.0, None)
    assert report["labels"]["never seen"]["f1"] is None
    assert report["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert report["confusion_matrix"][0] == [2, 1, 0, 0]


def test_several_labels_a_row_have_no_matrix() -> None:
    report = label_report([[0, 1], []], [[0], [1]], ["a", "b"])

    assert "confusion_matrix" not in report
    assert report["labels"]["a"]["f1"] == 1.0
    assert report["labels"]["b"]["f1"] == 0.0


def test_the_answer_is_the_likeliest_label_or_all_likelier_than_not() -> None:
    assert predicted([0.1, 2.0, -1.0], is_multi_label=False) == [1]
    assert predicted([0.1, 2.0, -1.0], is_multi_label=True) == [0, 1]
    assert predicted([-0.1, -2.0], is_multi_label=True) == []


@pytest.mark.parametrize("too_sure", [0.5, 1.0, 4.0])
def test_the_temperature_undoes_what_sharpened_the_logits(too_sure: float) -> None:
    draw = random.Random(0)
    scores, truth = [], []
    for _ in range(3000):
        honest = [draw.gauss(0, 1.5) for _ in range(3)]
        weights = [math.exp(x) for x in honest]
        truth.append(draw.choices(range(3), weights))
        scores.append([x * too_sure for x in honest])

    assert fit_temperature(scores, truth, is_multi_label=False) == pytest.approx(too_sure, rel=0.1)


def test_without_rows_nothing_is_changed() -> None:
    assert fit_temperature([], [], is_multi_label=False) == 1.0
