"""Least squares with coefficients that are never negative: more work never takes less time."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.engine_protocol import Law

_REWEIGHTINGS = 2
_SWEEPS = 200
_RIDGE = 1e-3
"""Of the prior, against measurements that each weigh 1: half a measurement's error of 3 %."""
_TINY = 1e-9
_SHARE = 0.9
LEAST_OBSERVATIONS = 4
"""Fewer say nothing of the spread."""


@dataclass(frozen=True)
class Observation:
    """Something that was measured."""

    features: tuple[float, ...]
    value: float
    """Seconds, or bytes."""
    scale: float | None = None
    """What an error is measured against; the value itself if absent."""


def fit(observations: Sequence[Observation], prior: Sequence[float] | None = None) -> Law | None:
    """The law by which relative errors are least; None without an observation or a prior.

    Each error is weighed against what the law says rather than against what was measured, which
    would draw it towards the quickest measurements; that needs a second round. Where a prior is
    given, coefficients stay near it as long as little was measured.
    """
    if not observations:
        return None if prior is None else Law(coefficients=tuple(prior), spread=0, observations=0)
    scales = [max(o.scale or o.value, _TINY) for o in observations]
    coefficients = _solve(observations, scales, prior)
    for _ in range(_REWEIGHTINGS):
        said = [_value(coefficients, o) for o in observations]
        scales = [max(o.scale or s, _TINY) for o, s in zip(observations, said, strict=True)]
        coefficients = _solve(observations, scales, prior)
    errors = sorted(
        abs(o.value - _value(coefficients, o)) / max(o.scale or _value(coefficients, o), _TINY)
        for o in observations
    )
    spread = errors[min(len(errors) - 1, int(_SHARE * len(errors)))]
    return Law(coefficients=tuple(coefficients), spread=spread, observations=len(observations))


def _value(coefficients: Sequence[float], observation: Observation) -> float:
    return sum(c * x for c, x in zip(coefficients, observation.features, strict=True))


def _solve(
    observations: Sequence[Observation], scales: Sequence[float], prior: Sequence[float] | None
) -> list[float]:
    """Coordinate descent on the normal equations (Franc et al. 2005)."""
    rows = [[x / s for x in o.features] for o, s in zip(observations, scales, strict=True)]
    wanted = [o.value / s for o, s in zip(observations, scales, strict=True)]
    size = range(len(rows[0]))
    matrix = [[sum(row[i] * row[j] for row in rows) for j in size] for i in size]
    right = [sum(row[i] * y for row, y in zip(rows, wanted, strict=True)) for i in size]
    coefficients = list(prior) if prior is not None else [0.0 for _ in size]
    for i in size:
        own = matrix[i][i] * _RIDGE if matrix[i][i] else 1.0
        if prior is not None:
            matrix[i][i] += own
            right[i] += own * prior[i]
    for _ in range(_SWEEPS):
        for i in size:
            if matrix[i][i] > 0:
                slope = sum(matrix[i][j] * coefficients[j] for j in size) - right[i]
                coefficients[i] = max(0.0, coefficients[i] - slope / matrix[i][i])
    return coefficients
