"""The metrics: their ends, their order, and values computed by hand."""

import pytest

from service.core.graders.outcome import GradingFailed
from service.core.graders.similarity import similarity
from service.core.graders.specs import Metric

METRICS: tuple[Metric, ...] = (
    *("fuzzy_match", "bleu", "gleu", "meteor"),
    *("rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l"),
)
REFERENCE = "the quick brown fox jumps over the lazy dog"
NEAR = "the quick brown fox jumps over a lazy dog"
FAR = "seven wizards boil ugly vixens in mud"


@pytest.mark.parametrize("metric", METRICS)
def test_nearer_texts_score_higher_between_nothing_and_the_same(metric: Metric) -> None:
    same, near, far = (similarity(metric, text, REFERENCE) for text in (REFERENCE, NEAR, FAR))

    assert same == pytest.approx(1, abs=0.01)
    assert 0 <= far < near < same


@pytest.mark.parametrize("metric", METRICS)
def test_empty_texts_have_a_score(metric: Metric) -> None:
    assert similarity(metric, "", REFERENCE) == 0
    assert similarity(metric, REFERENCE, "") == 0
    assert 0 <= similarity(metric, "", "") <= 1


@pytest.mark.parametrize(
    ("metric", "score"),
    [
        ("rouge_1", 2 * 8 / 18),  # 8 of 9 words
        ("rouge_2", 2 * 6 / 16),
        ("rouge_3", 2 * 4 / 14),
        ("rouge_4", 2 * 3 / 12),
        ("rouge_5", 2 * 2 / 10),
        ("rouge_l", 2 * 8 / 18),
        ("gleu", (8 + 6 + 4 + 3) / 30),
        ("bleu", (8 / 9 * 6 / 8 * 4 / 7 * 3 / 6) ** 0.25),
        ("fuzzy_match", 2 * 40 / 84),  # "a" for "the": 40 characters stay
    ],
)
def test_scores_are_those_of_the_definition(metric: Metric, score: float) -> None:
    assert similarity(metric, NEAR, REFERENCE) == pytest.approx(score)


def test_meteor_knows_stems_but_not_synonyms() -> None:
    assert similarity("meteor", "he runs", "he running") > 0.4
    assert similarity("meteor", "car", "automobile") == 0


def test_texts_that_would_take_minutes_are_refused() -> None:
    long = "word " * 3000
    with pytest.raises(GradingFailed):
        similarity("meteor", long, long)
