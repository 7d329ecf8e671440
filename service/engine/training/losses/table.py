"""From a command's loss to its function, and to what that asks of a pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.engine_protocol import (
    BradleyTerry,
    Classification,
    CrossEntropy,
    Dpo,
    HeadSpec,
    Ipo,
    Loss,
    Policy,
    Report,
    SimPo,
    TrainingRow,
)
from service.core.errors import InvalidRequest
from service.engine.training.losses.bradley_terry import bradley_terry
from service.engine.training.losses.classification import check_labels, classification
from service.engine.training.losses.cross_entropy import cross_entropy
from service.engine.training.losses.dpo import dpo
from service.engine.training.losses.ipo import ipo
from service.engine.training.losses.measured import Measured, Shares
from service.engine.training.losses.pairs import check_pairs
from service.engine.training.losses.policy import check_policy, policy
from service.engine.training.losses.simpo import simpo

_OF_SCORES = BradleyTerry | Classification


@dataclass(frozen=True)
class Needs:
    """What a pass computes for one job."""

    tokens: bool
    """Log-probabilities of the trained tokens."""
    entropy: bool = False
    values: bool = False
    scores: bool = False

    @classmethod
    def of(cls, loss: Loss, report: Sequence[Report], head: HeadSpec | None) -> "Needs":
        """The rows have been checked."""
        has_values = head is not None and head.kind == "value"
        is_policy = isinstance(loss, Policy)
        return cls(
            tokens=not isinstance(loss, _OF_SCORES) or "logprobs" in report,
            entropy=is_policy,
            values=(is_policy and has_values) or "values" in report,
            scores=isinstance(loss, _OF_SCORES) or "scores" in report,
        )


def apply_loss(loss: Loss, head: HeadSpec | None, found: Measured) -> Shares:
    """The rows have been checked."""
    match loss:
        case CrossEntropy():
            return cross_entropy(found)
        case Dpo():
            return dpo(loss, found)
        case Ipo():
            return ipo(loss, found)
        case SimPo():
            return simpo(loss, found)
        case BradleyTerry():
            return bradley_terry(found)
        case Classification():
            assert head is not None
            return classification(loss, head, found)
        case Policy():
            return policy(loss, found)


def check_rows(
    loss: Loss, report: Sequence[Report], head: HeadSpec | None, rows: Sequence[TrainingRow]
) -> None:
    """Raises InvalidRequest, naming the line, for rows that the loss cannot use, and for a loss or
    a report that needs another head."""
    _check_head(loss, report, head)
    match loss:
        case CrossEntropy():
            return
        case Classification():
            assert head is not None
            check_labels(loss, head, rows)
        case Policy():
            check_policy(loss, rows)
        case _:
            check_pairs(rows, needs_reference=isinstance(loss, Dpo | Ipo))


def _check_head(loss: Loss, report: Sequence[Report], head: HeadSpec | None) -> None:
    kind = None if head is None else head.kind
    match loss:
        case BradleyTerry():
            _require(kind, ("reward",), "the loss 'bradley_terry'")
        case Classification():
            _require(kind, ("classification",), "the loss 'classification'")
        case Policy(value_coefficient=coefficient) if coefficient:
            _require(kind, ("value",), "'value_coefficient'")
    if "scores" in report:
        _require(kind, ("classification", "reward"), "the report 'scores'")
    if "values" in report:
        _require(kind, ("value",), "the report 'values'")


def _require(kind: str | None, able: tuple[str, ...], what: str) -> None:
    if kind not in able:
        has = "no head" if kind is None else f"a head of kind {kind!r}"
        needed = " or ".join(map(repr, able))
        raise InvalidRequest(f"{what} needs a head of kind {needed}, and the session has {has}")
