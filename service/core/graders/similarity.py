"""Similarity of two texts, from 0 (nothing in common) to 1 (the same); of two vectors from -1.

nltk and rapidfuzz are imported with the first use: nltk alone takes 0.3 s, which a process that
never grades should not pay.
"""

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence

from service.core.graders.outcome import Flags, GradingFailed
from service.core.graders.specs import Metric

_WORDS_AND_SIGNS = re.compile(r"\w+|[^\w\s]")
_WORDS = re.compile(r"\w+")
_METEOR_WORDS = 2000
"""nltk compares every word with every other: 2,000 take about a second."""

Similarity = Callable[[str, str], float]


def similarity(metric: Metric, text: str, reference: str) -> float:
    """Raises GradingFailed for texts that are too long for the metric."""
    if metric.startswith("rouge_") and metric != "rouge_l":
        return _rouge_n(text, reference, int(metric.removeprefix("rouge_")))
    return _METRICS[metric](text, reference)


def _fuzzy_match(text: str, reference: str) -> float:
    """Characters to insert and delete, over all characters."""
    from rapidfuzz.fuzz import ratio

    return ratio(text, reference) / 100


def _bleu(text: str, reference: str) -> float:
    """Sentence BLEU-4 (Papineni et al. 2002), smoothed so that a missing n-gram is not the end."""
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    tokens, expected = _WORDS_AND_SIGNS.findall(text), _WORDS_AND_SIGNS.findall(reference)
    if not tokens or not expected:
        return float(tokens == expected)
    orders = min(4, len(tokens), len(expected))
    smooth = SmoothingFunction().method1
    weights = (1 / orders,) * orders
    return float(sentence_bleu([expected], tokens, weights=weights, smoothing_function=smooth))


def _gleu(text: str, reference: str) -> float:
    """Sentence GLEU (Wu et al. 2016)."""
    from nltk.translate.gleu_score import sentence_gleu

    tokens, expected = _WORDS_AND_SIGNS.findall(text), _WORDS_AND_SIGNS.findall(reference)
    if not tokens or not expected:
        return float(tokens == expected)
    return float(sentence_gleu([expected], tokens))


class _NoSynonyms:
    """In the place of WordNet, which would have to be downloaded."""

    def synsets(self, _word: str) -> list[object]:
        return []


def _meteor(text: str, reference: str) -> float:
    """METEOR (Banerjee & Lavie 2005) over words and their stems, without synonyms."""
    from nltk.translate.meteor_score import single_meteor_score

    tokens, expected = _WORDS_AND_SIGNS.findall(text), _WORDS_AND_SIGNS.findall(reference)
    if not tokens or not expected:
        return float(tokens == expected)
    if max(len(tokens), len(expected)) > _METEOR_WORDS:
        raise GradingFailed(Flags(other_error=True))
    return float(single_meteor_score(expected, tokens, wordnet=_NoSynonyms()))


def _rouge_n(text: str, reference: str, n: int) -> float:
    """ROUGE-N (Lin 2004): F1 over n-grams."""
    found = Counter(_ngrams(_lower_words(text), n))
    expected = Counter(_ngrams(_lower_words(reference), n))
    return _f1((found & expected).total(), found.total(), expected.total())


def _rouge_l(text: str, reference: str) -> float:
    """ROUGE-L (Lin 2004): F1 over the longest common subsequence of words."""
    from rapidfuzz.distance import LCSseq

    found, expected = _lower_words(text), _lower_words(reference)
    return _f1(int(LCSseq.similarity(found, expected)), len(found), len(expected))


def _lower_words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _ngrams(words: Sequence[str], n: int) -> Iterator[Hashable]:
    return zip(*(words[start:] for start in range(n)), strict=False)


def _f1(common: int, found: int, expected: int) -> float:
    return 2 * common / (found + expected) if found + expected else 0.0


def cosine(vector: Sequence[float], other: Sequence[float]) -> float:
    """Of the angle between two embeddings; 0 where one has no direction."""
    lengths = math.hypot(*vector) * math.hypot(*other)
    return min(1.0, max(-1.0, sum(map(operator.mul, vector, other)) / lengths)) if lengths else 0.0


_METRICS: dict[str, Similarity] = {
    "fuzzy_match": _fuzzy_match,
    "bleu": _bleu,
    "gleu": _gleu,
    "meteor": _meteor,
    "rouge_l": _rouge_l,
}
