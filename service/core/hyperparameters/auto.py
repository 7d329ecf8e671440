"""How `auto` becomes numbers: from the method, what is trained, the rows and the base model."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from service.core.domain.methods import MethodType
from service.core.domain.tunings import LoraTuningSpec, TuningSpec, TuningType
from service.core.hyperparameters.requested import Hyperparameters
from service.core.hyperparameters.resolved import ResolvedHyperparameters

_UNIT_PARAMETERS = 135e6
_RATES: Mapping[MethodType, Mapping[TuningType, float]] = {
    "supervised": {"lora": 1e-3, "full": 5e-5, "partial": 1e-4},
    "unsupervised": {"lora": 5e-4, "full": 5e-5, "partial": 1e-4},
    "classification": {"lora": 5e-4, "full": 3e-5, "partial": 1e-4, "head": 2e-3},
    "dpo": {"lora": 2e-4, "full": 5e-6, "partial": 1e-5},
    "reward_model": {"lora": 3e-4, "full": 1e-5, "partial": 3e-5, "head": 2e-3},
    "reinforcement": {"lora": 1e-4},
    "rlhf": {"lora": 1e-4},
}
"""Peak learning rates at 135 million parameters. Supervised LoRA is measured: 85 rows of the
support desk reach 15 of 20 held-out answers with 1e-3 in 5 epochs; 2e-4 for 3 epochs reached 5,
6e-4 for 6 epochs in batches of 8 reached 10. Full tuning takes a twentieth, as each weight moves by
itself; preferences a fifth, as their loss goes on rewarding ever larger margins."""
_UNIT_SCALE = 2.0
"""alpha / rank of the default adapter, which the rates of adapters are for."""
_TARGET_STEPS = 120
"""Fewer optimizer steps than this leave a small data set underfitted."""
_LONGEST_TRAINING: Mapping[MethodType, int] = {
    "supervised": 10,
    "unsupervised": 3,
    "classification": 10,
    "dpo": 3,
    "reward_model": 3,
    "reinforcement": 10,
    "rlhf": 5,
}
"""Epochs. Text is remembered word by word after three; preferences soon teach nothing but noise."""
_LONGEST_HEAD_TRAINING = 30
"""A head's epoch costs next to nothing, and its few weights cannot remember rows."""
_TEXT_LENGTH = 1024
"""Raw text is cut into rows of this length: the model learns little from what is further away, and
longer rows cost more memory."""
_EVALUATIONS = 20
"""Small validations over the whole job."""
_CHECKPOINTS = 3
"""As many as OpenAI keeps."""


@dataclass(frozen=True)
class DataSizes:
    """Of the rows that are trained on."""

    examples: int
    tokens: int


def row_limit(requested: Hyperparameters, method: MethodType, context_length: int) -> int:
    """Tokens of the longest row; never more than the model's context or a step holds."""
    room = min(context_length, requested.max_tokens_per_step or context_length)
    if requested.max_seq_length != "auto":
        return min(requested.max_seq_length, room)
    return min(_TEXT_LENGTH, room) if method == "unsupervised" else room


def unit_learning_rate(method: MethodType, tuning: TuningSpec, parameters: int) -> float:
    """Learning rate at multiplier 1.

    Wider models want smaller steps, about width^-0.78; width grows like the cube root of
    `parameters`. 1e-3 for 135 million, 3.5e-4 for 8 billion. A head is as wide as it is whatever
    lies below. An adapter's step counts by its scale, which evens ranks out; twice the usual scale
    halves the rate, within a factor of four.
    """
    rate = _RATES[method][tuning.type]
    if tuning.type == "head":
        return rate
    if isinstance(tuning, LoraTuningSpec):
        rate *= max(0.25, min(4.0, _UNIT_SCALE / tuning.scale))
    return rate * math.pow(_UNIT_PARAMETERS / max(1, parameters), 0.26)


def resolve(
    requested: Hyperparameters,
    *,
    method: MethodType = "supervised",
    tuning: TuningSpec | None = None,
    sizes: DataSizes,
    parameters: int,
    context_length: int,
) -> ResolvedHyperparameters:
    """Replace every `auto` by a number.

    Batches grow with the data (about 1/32 of the rows, 4 to 64); epochs are as many as give a
    small data set enough optimizer steps.
    """
    tuning = tuning or LoraTuningSpec()
    limit = row_limit(requested, method, context_length)
    budget = requested.max_tokens_per_step
    packing = _packing(requested, method)
    unit = budget or (limit if packing else None)
    rows = math.ceil(sizes.tokens / unit) if unit else sizes.examples
    batch_size = _batch_size(requested, rows)
    steps_an_epoch = max(1, math.ceil(rows / batch_size))
    n_epochs = (
        _epochs(method, tuning, steps_an_epoch)
        if requested.n_epochs == "auto"
        else requested.n_epochs
    )
    unit_rate = unit_learning_rate(method, tuning, parameters)
    learning_rate = _learning_rate(requested, unit_rate)
    steps = n_epochs * steps_an_epoch
    return ResolvedHyperparameters(
        batch_size=batch_size,
        learning_rate_multiplier=learning_rate / unit_rate,
        n_epochs=n_epochs,
        learning_rate=learning_rate,
        lr_scheduler_type=requested.lr_scheduler_type,
        warmup_ratio=requested.warmup_ratio,
        weight_decay=requested.weight_decay,
        max_grad_norm=requested.max_grad_norm,
        max_seq_length=limit,
        over_length=requested.over_length,
        packing=packing,
        eval_steps=(
            max(1, steps // _EVALUATIONS)
            if requested.eval_steps == "auto"
            else requested.eval_steps
        ),
        n_checkpoints=(
            min(_CHECKPOINTS, n_epochs)
            if requested.n_checkpoints == "auto"
            else requested.n_checkpoints
        ),
        early_stopping_patience=requested.early_stopping_patience,
        max_tokens_per_step=budget,
    )


def _packing(requested: Hyperparameters, method: MethodType) -> bool:
    if requested.max_tokens_per_step is not None:
        return False
    return method == "unsupervised" if requested.packing == "auto" else requested.packing


def _batch_size(requested: Hyperparameters, rows: int) -> int:
    if requested.max_tokens_per_step is not None:
        return 1
    if requested.batch_size != "auto":
        return requested.batch_size
    return max(4, min(64, 1 << max(0, round(math.log2(max(1, rows / 32))))))


def _epochs(method: MethodType, tuning: TuningSpec, steps_an_epoch: int) -> int:
    longest = _LONGEST_HEAD_TRAINING if tuning.type == "head" else _LONGEST_TRAINING[method]
    return max(1, min(longest, math.ceil(_TARGET_STEPS / steps_an_epoch)))


def _learning_rate(requested: Hyperparameters, unit: float) -> float:
    if requested.learning_rate is not None:
        return requested.learning_rate
    if requested.learning_rate_multiplier == "auto":
        return unit
    return unit * requested.learning_rate_multiplier
