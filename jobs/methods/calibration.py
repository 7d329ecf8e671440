"""Temperature scaling: one number makes a classifier's probabilities honest (Guo et al. 2017).

It divides the logits, so it changes no decision. Fitted by golden-section search over its
logarithm, since the negative log-likelihood has one minimum in 1 / T.
"""

import math
from collections.abc import Callable, Sequence

_ROWS = 2000
"""More change the third digit at best, and cost seconds of plain Python."""
_LEAST, _MOST = math.log(0.05), math.log(20)
_ROUNDS = 30
_GOLDEN = (math.sqrt(5) - 1) / 2


def fit_temperature(
    scores: Sequence[Sequence[float]],
    truth: Sequence[Sequence[int]],
    *,
    is_multi_label: bool,
) -> float:
    """Logits (rows, labels) and each row's true labels; 0.05 to 20, and 1 without rows."""
    rows = list(zip(scores, truth, strict=True))[:_ROWS]
    if not rows:
        return 1.0
    likelihood = _binary if is_multi_label else _categorical

    def cost(logarithm: float) -> float:
        sharpness = math.exp(-logarithm)
        return sum(likelihood(s, t, sharpness) for s, t in rows)

    return math.exp(_golden_section(cost))


def _golden_section(cost: Callable[[float], float]) -> float:
    low, high = _LEAST, _MOST
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(left), cost(right)
    for _ in range(_ROUNDS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)
    return (low + high) / 2


def _categorical(scores: Sequence[float], truth: Sequence[int], sharpness: float) -> float:
    scaled = [score * sharpness for score in scores]
    most = max(scaled)
    return most + math.log(sum(math.exp(x - most) for x in scaled)) - scaled[truth[0]]


def _binary(scores: Sequence[float], truth: Sequence[int], sharpness: float) -> float:
    signed = (
        (score if index in truth else -score) * sharpness for index, score in enumerate(scores)
    )
    return sum(max(0.0, -x) + math.log1p(math.exp(-abs(x))) for x in signed)
