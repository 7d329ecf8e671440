"""What `jobs.create` takes as `method` and `tuning`: one shape for each way to train."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Required, TypedDict

Auto = Literal["auto"]
MethodType = Literal[
    "supervised",
    "unsupervised",
    "classification",
    "dpo",
    "reward_model",
    "reinforcement",
    "rlhf",
]
TuningType = Literal["lora", "full", "partial", "head"]


class Hyperparameters(TypedDict, total=False):
    """Of every method; what is left out is the server's choice."""

    n_epochs: int | Auto
    batch_size: int | Auto
    learning_rate_multiplier: float | Auto
    learning_rate: float | None
    """Absolute, instead of the multiplier."""
    lr_scheduler_type: Literal["cosine", "linear", "constant"]
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    max_seq_length: int | Auto
    over_length: Literal["error", "truncate", "skip"]
    packing: bool | Auto
    max_tokens_per_step: int
    eval_steps: int | Auto
    n_checkpoints: int | Auto
    early_stopping_patience: int | None


class DpoHyperparameters(Hyperparameters, total=False):
    """With the strength of the preference."""

    beta: float | Auto
    gamma: float | Auto
    """The margin that `simpo` asks for."""


class ReinforcementHyperparameters(Hyperparameters, total=False):
    """With those of GRPO."""

    compute_multiplier: float | Auto
    eval_interval: int | Auto
    eval_samples: int | Auto
    reasoning_effort: Literal["default", "low", "medium", "high"]
    samples_per_prompt: int
    temperature: float
    max_completion_tokens: int
    kl_coefficient: float
    clip_range: float


_PpoLambda = TypedDict("_PpoLambda", {"lambda": float}, total=False)


class RlhfHyperparameters(Hyperparameters, _PpoLambda, total=False):
    """With those of PPO."""

    rollout_batch_size: int
    temperature: float
    max_completion_tokens: int
    kl_coefficient: float
    gamma: float
    clip_range: float
    value_coefficient: float
    value_clip: float
    ppo_epochs: int


class SupervisedOptions(TypedDict, total=False):
    hyperparameters: Hyperparameters


class UnsupervisedOptions(TypedDict, total=False):
    hyperparameters: Hyperparameters
    replay_file: str
    """General text that is mixed in against forgetting."""
    replay_ratio: float


class ClassificationOptions(TypedDict, total=False):
    hyperparameters: Hyperparameters
    class_weights: Literal["balanced"] | Mapping[str, float]
    pooling: Literal["last", "mean"]


class DpoOptions(TypedDict, total=False):
    hyperparameters: DpoHyperparameters
    loss: Literal["dpo", "ipo", "simpo"]


class RewardModelOptions(TypedDict, total=False):
    hyperparameters: Hyperparameters


class ReinforcementOptions(TypedDict, total=False):
    hyperparameters: ReinforcementHyperparameters
    grader: Required[Mapping[str, Any]]
    response_format: Mapping[str, Any]


class RlhfOptions(TypedDict, total=False):
    hyperparameters: RlhfHyperparameters
    reward_model: Required[str]


class SupervisedMethod(TypedDict, total=False):
    type: Required[Literal["supervised"]]
    supervised: SupervisedOptions


class UnsupervisedMethod(TypedDict, total=False):
    type: Required[Literal["unsupervised"]]
    unsupervised: UnsupervisedOptions


class ClassificationMethod(TypedDict, total=False):
    type: Required[Literal["classification"]]
    classification: ClassificationOptions


class DpoMethod(TypedDict, total=False):
    type: Required[Literal["dpo"]]
    dpo: DpoOptions


class RewardModelMethod(TypedDict, total=False):
    type: Required[Literal["reward_model"]]
    reward_model: RewardModelOptions


class ReinforcementMethod(TypedDict, total=False):
    type: Required[Literal["reinforcement"]]
    reinforcement: Required[ReinforcementOptions]


class RlhfMethod(TypedDict, total=False):
    type: Required[Literal["rlhf"]]
    rlhf: Required[RlhfOptions]


Method = (
    SupervisedMethod
    | UnsupervisedMethod
    | ClassificationMethod
    | DpoMethod
    | RewardModelMethod
    | ReinforcementMethod
    | RlhfMethod
)


class LoraTuning(TypedDict, total=False):
    """A low-rank adapter."""

    type: Required[Literal["lora"]]
    rank: int
    alpha: float
    dropout: float
    target_modules: Literal["all-linear"] | Sequence[str]
    use_dora: bool
    use_rslora: bool


class FullTuning(TypedDict):
    """Every weight."""

    type: Literal["full"]


class PartialTuning(TypedDict, total=False):
    """The last layers, or the parameters that patterns name."""

    type: Required[Literal["partial"]]
    last_n_layers: int
    trainable: Sequence[str]


class HeadTuning(TypedDict, total=False):
    """Fully connected layers on the frozen model."""

    type: Required[Literal["head"]]
    hidden_layers: Sequence[int]
    dropout: float


Tuning = LoraTuning | FullTuning | PartialTuning | HeadTuning
