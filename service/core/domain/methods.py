"""How a job trains: one class a method, with the options that are its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class SupervisedMethod:
    """Say what the assistant says."""

    type: Literal["supervised"] = "supervised"


@dataclass(frozen=True)
class UnsupervisedMethod:
    """Go on with pretraining, on raw text."""

    replay_file: str | None = None
    """General text that is mixed in against forgetting …"""
    replay_ratio: float = 0.0
    """… as this share of all tokens."""
    type: Literal["unsupervised"] = "unsupervised"


@dataclass(frozen=True)
class ClassificationMethod:
    """Tell labels apart, by a head on the model."""

    class_weights: Literal["balanced"] | Mapping[str, float] | None = None
    """balanced: each label counts as much as every other, however rare it is."""
    pooling: Literal["last", "mean"] = "last"
    type: Literal["classification"] = "classification"


@dataclass(frozen=True)
class DpoMethod:
    """Prefer one of two answers, further than the model did before."""

    loss: Literal["dpo", "ipo", "simpo"] = "dpo"
    beta: float = 0.1
    gamma: float = 1.0
    """The margin that `simpo` asks for."""
    type: Literal["dpo"] = "dpo"


@dataclass(frozen=True)
class RewardModelMethod:
    """Score answers, so that the better of two gets more."""

    type: Literal["reward_model"] = "reward_model"


@dataclass(frozen=True)
class ReinforcementMethod:
    """Give answers that graders like (GRPO, Shao et al. 2024)."""

    grader: Mapping[str, Any]
    response_format: Mapping[str, Any] | None = None
    compute_multiplier: float = 1.0
    """Times the answers drawn to each prompt."""
    eval_interval: int | None = None
    """Steps between two measurements of the validation file."""
    eval_samples: int = 1
    """Answers to each prompt of the validation file."""
    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"
    samples_per_prompt: int = 8
    temperature: float = 1.0
    max_completion_tokens: int = 256
    kl_coefficient: float = 0.02
    clip_range: float = 0.2
    type: Literal["reinforcement"] = "reinforcement"


@dataclass(frozen=True)
class RlhfMethod:
    """Give answers that a reward model likes (PPO, Ouyang et al. 2022)."""

    reward_model: str
    rollout_batch_size: int = 32
    """Answers between two looks at the reward model."""
    temperature: float = 1.0
    max_completion_tokens: int = 256
    kl_coefficient: float = 0.05
    gamma: float = 1.0
    lam: float = 0.95
    """λ of the generalised advantage; `lambda` on the wire."""
    clip_range: float = 0.2
    value_coefficient: float = 0.1
    value_clip: float = 0.2
    ppo_epochs: int = 2
    """Passes over a rollout."""
    type: Literal["rlhf"] = "rlhf"


Method = (
    SupervisedMethod
    | UnsupervisedMethod
    | ClassificationMethod
    | DpoMethod
    | RewardModelMethod
    | ReinforcementMethod
    | RlhfMethod
)
MethodType = Literal[
    "supervised",
    "unsupervised",
    "classification",
    "dpo",
    "reward_model",
    "reinforcement",
    "rlhf",
]
