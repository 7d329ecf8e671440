"""The closed set of losses, and what each needs of a row beside its tokens.

Every loss is a sum over rows, divided by the command's normalizer; its gradient does not depend on
how the rows are cut into micro-batches.
"""

from typing import Annotated, Literal

from pydantic import Field

from service.core.engine_protocol.models import Message


class CrossEntropy(Message):
    """Σ weight · −log p(token), nats."""

    type: Literal["cross_entropy"] = "cross_entropy"


class Dpo(Message):
    """−log σ(β · margin) a pair, where margin is how much further than the reference the policy
    prefers the chosen row (Rafailov et al. 2023)."""

    type: Literal["dpo"] = "dpo"
    beta: float = Field(0.1, gt=0)


class Ipo(Message):
    """(margin − 1 / 2β)² a pair, of log-probabilities a token (Azar et al. 2023)."""

    type: Literal["ipo"] = "ipo"
    beta: float = Field(0.1, gt=0)


class SimPo(Message):
    """−log σ(β · (difference of log-probabilities a token) − gamma), without a reference
    (Meng et al. 2024)."""

    type: Literal["simpo"] = "simpo"
    beta: float = Field(2.0, gt=0)
    gamma: float = Field(1.0, ge=0)


class BradleyTerry(Message):
    """−log σ(score of the chosen row − score of the rejected) a pair; of a reward head."""

    type: Literal["bradley_terry"] = "bradley_terry"


class Classification(Message):
    """Cross-entropy over the head's labels, or, of several labels a row, binary cross-entropy
    summed over them."""

    type: Literal["classification"] = "classification"
    label_weights: tuple[float, ...] = ()
    """One for each label of the head; empty is 1 for all."""


class Policy(Message):
    """Clipped policy objective at trained tokens (Schulman et al. 2017), with a penalty for leaving
    the reference, and of a session with a value head the value's squared error beside it.

    Σ weight · (−min(ratio · A, clip(ratio) · A) + kl_coefficient · k3
                + value_coefficient · ½ max((v − R)², (clipped v − R)²)),
    ratio = exp(log p − old), k3 = exp(ref − log p) − (ref − log p) − 1 (Schulman 2020).
    Computed without dropout, so that the ratio is 1 before the first step.
    """

    type: Literal["policy"] = "policy"
    clip_low: float = Field(0.2, gt=0, lt=1)
    clip_high: float = Field(0.2, gt=0)
    kl_coefficient: float = Field(0.0, ge=0)
    value_coefficient: float = Field(0.0, ge=0)
    value_clip: float | None = Field(None, gt=0)


Loss = Annotated[
    CrossEntropy | Dpo | Ipo | SimPo | BradleyTerry | Classification | Policy,
    Field(discriminator="type"),
]


class PairExtras(Message):
    """Which of a pair a row is. Both rows of a pair have the same `group`."""

    kind: Literal["pair"] = "pair"
    is_chosen: bool
    reference: float | None = None
    """Σ weight · log p(token) under the reference; for `dpo` and `ipo`."""


class LabelExtras(Message):
    """The right labels, as indices into the head's."""

    kind: Literal["label"] = "label"
    labels: tuple[int, ...]


class PolicyExtras(Message):
    """What a rollout knows of its tokens: one entry for each token with a weight above zero."""

    kind: Literal["policy"] = "policy"
    old_logprobs: tuple[float, ...]
    advantages: tuple[float, ...]
    reference_logprobs: tuple[float, ...] = ()
    """Needed where `kl_coefficient` is above zero."""
    returns: tuple[float, ...] = ()
    old_values: tuple[float, ...] = ()
    """Both needed where `value_coefficient` is above zero."""


Extras = Annotated[PairExtras | LabelExtras | PolicyExtras, Field(discriminator="kind")]
