"""A job's time and memory: its work under an engine's laws."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.engine_protocol import Calibration, Law
from service.core.estimates.bounded import MOST, Bounded
from service.core.estimates.fitting import LEAST_OBSERVATIONS
from service.core.estimates.laws import PRIORS, LawName, memory_features
from service.core.estimates.shapes import activation_bytes, stored_bytes, trained_bytes
from service.core.estimates.work import JobWork, Setting

_UNKNOWN_SPREAD = 0.5
"""Of a prior that nothing was measured against."""


@dataclass(frozen=True)
class Prediction:
    """None for what the engine has never measured."""

    seconds: Bounded | None
    peak_memory_bytes: Bounded | None
    confident: bool
    """Whether the bounds are what measurements say, and not the widest that are given."""
    notes: tuple[str, ...] = ()


def predict(work: JobWork, setting: Setting, calibration: Calibration) -> Prediction:
    """For the job alone on its engine."""
    notes: list[str] = []
    seconds, time_is_sure = _seconds(work, calibration, notes)
    memory, memory_is_sure = _memory(work, setting, calibration)
    if memory is None:
        notes.append("The engine cannot measure its memory on this device.")
    if work.is_drawn:
        notes.append(
            "The model's own answers decide how long this takes: they are taken to be half as "
            "long as allowed, and the time of graders is not counted."
        )
    is_sure = time_is_sure and memory_is_sure and not work.is_drawn
    return Prediction(seconds, memory, is_sure, tuple(notes))


def _seconds(
    work: JobWork, calibration: Calibration, notes: list[str]
) -> tuple[Bounded | None, bool]:
    shares: list[tuple[Law, float]] = []
    for name, features in work.sums.items():
        law = _law(name, calibration)
        if law is None:
            notes.append(f"The engine has not measured '{name}' yet; it does while it is idle.")
            return None, False
        said = sum(c * x for c, x in zip(law.coefficients, features, strict=True))
        shares.append((law, said))
    total = sum(said for _, said in shares)
    error = sum(said * _spread(law) for law, said in shares)
    spread = error / total if total else 0.0
    return Bounded.measured(total, spread), spread <= MOST


def _memory(
    work: JobWork, setting: Setting, calibration: Calibration
) -> tuple[Bounded | None, bool]:
    law = _law("memory", calibration)
    if law is None or not calibration.resident_bytes:
        return None, False
    shapes, trained = calibration.shapes, setting.trained
    features = memory_features(
        trained_bytes(trained, shapes),
        activation_bytes(work.largest, trained, shapes),
        stored_bytes=stored_bytes(trained, shapes),
    )
    own = sum(c * x for c, x in zip(law.coefficients, features, strict=True))
    peak = round(calibration.resident_bytes + own)
    is_sure = law.observations >= LEAST_OBSERVATIONS and law.spread <= MOST
    return Bounded.measured(peak, law.spread), is_sure


def _law(name: LawName, calibration: Calibration) -> Law | None:
    found = calibration.laws.get(name)
    if found is not None or name not in PRIORS:
        return found
    return Law(coefficients=PRIORS[name], spread=_UNKNOWN_SPREAD, observations=0)


def _spread(law: Law) -> float:
    return (
        law.spread if law.observations >= LEAST_OBSERVATIONS else max(law.spread, _UNKNOWN_SPREAD)
    )


def queue_seconds(*, free_slots: int, ahead: int, remaining: Sequence[float], own: float) -> float:
    """Until a slot is this job's, if those `ahead` take as long as it: slots are freed in the order
    in which the running jobs, with `remaining` seconds each, end."""
    free = sorted([0.0] * free_slots + [max(0.0, seconds) for seconds in remaining])
    if not free:
        return own  # all slots are taken by jobs that have only just begun
    for _ in range(ahead):
        free[0] += own
        free.sort()
    return free[0]
