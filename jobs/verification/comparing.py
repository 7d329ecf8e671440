"""A replay set against what the job has told of its steps and stored of its weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.methods.reporting import StepReport
from jobs.runner.recorder import finite
from jobs.runner.session import StoredSave
from service.core.manifest import Manifest
from service.core.object_keys import step_of

TOLERANCES = {"float32": 1e-4}
"""Relative, of a loss: what sharing passes with other jobs may change, with room for ten steps'
growth of 1e-5 each. Of another number format 2e-2: bfloat16 keeps eight bits."""
_COARSE = 2e-2
_TIMING = "tokens_per_second"
_ADAPTER = "adapter/"
_WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class ComparedStep:
    """The loss of a step, or its reward; None where one side has none."""

    step: int
    original: float | None
    replayed: float | None

    @property
    def difference(self) -> float | None:
        """Relative to the original."""
        if self.original is None or self.replayed is None:
            return None
        scale = max(abs(self.original), 1e-6)
        return abs(self.original - self.replayed) / scale


@dataclass(frozen=True)
class ComparedSteps:
    """All of them."""

    metric: str
    steps: Sequence[ComparedStep]
    is_equal: bool
    """Whether every number of every step is the same, but its speed."""

    @property
    def largest_difference(self) -> float | None:
        """None where a side lacks a step."""
        differences = [step.difference for step in self.steps]
        known = [difference for difference in differences if difference is not None]
        return max(known) if known and len(known) == len(differences) else None


@dataclass(frozen=True)
class ComparedFile:
    """sha256 of a file of weights."""

    name: str
    original: str
    replayed: str | None


@dataclass(frozen=True)
class ComparedWeights:
    """Of the last checkpoint within the steps."""

    step: int
    files: Sequence[ComparedFile]

    @property
    def is_equal(self) -> bool:
        return all(file.original == file.replayed for file in self.files)


def compare_steps(
    told: Sequence[Mapping[str, Any]], replayed: Sequence[StepReport], steps: int
) -> ComparedSteps:
    """`told`: data of the job's metrics events."""
    known = {data["step"]: data for data in told if 0 < data["step"] <= steps}
    again = {report.step: finite(report.metrics) for report in replayed if report.step}
    again = {step: metrics for step, metrics in again.items() if step <= steps}
    metric = _metric_of(known)
    numbers = sorted({*known, *again})
    return ComparedSteps(
        metric,
        [
            ComparedStep(step, known.get(step, {}).get(metric), again.get(step, {}).get(metric))
            for step in numbers
        ],
        all(_numbers(known.get(step, {})) == _numbers(again.get(step, {})) for step in numbers),
    )


def compare_weights(
    manifest: Manifest | None, step: int, saves: Sequence[StoredSave]
) -> ComparedWeights | None:
    """None without a checkpoint in reach."""
    if manifest is None:
        return None
    again = {
        file.name.removeprefix(_ADAPTER): file.sha256
        for save in saves
        if step_of(save.name) == step
        for file in save.files
        if file.name.startswith(_ADAPTER)
    }
    files = [
        ComparedFile(file.name, file.sha256, again.get(file.name))
        for file in manifest.files
        if file.name.endswith(_WEIGHTS)
    ]
    return ComparedWeights(step, files)


def verdict_of(steps: ComparedSteps, weights: ComparedWeights | None, *, dtype: str) -> str:
    """equal, within_tolerance or different."""
    if steps.is_equal and (weights is None or weights.is_equal):
        return "equal"
    largest = steps.largest_difference
    is_near = largest is not None and largest <= tolerance_of(dtype)
    return "within_tolerance" if is_near else "different"


def tolerance_of(dtype: str) -> float:
    return TOLERANCES.get(dtype, _COARSE)


def _metric_of(known: Mapping[int, Mapping[str, Any]]) -> str:
    """Methods that learn from rewards have no loss that compares from step to step."""
    has_loss = any("train_loss" in data for data in known.values())
    return "train_loss" if has_loss else "train_reward_mean"


def _numbers(data: Mapping[str, Any]) -> dict[str, float]:
    own = ("step", "total_steps", "epoch", "tokens", "details", _TIMING)
    return {name: float(value) for name, value in data.items() if name not in own}
