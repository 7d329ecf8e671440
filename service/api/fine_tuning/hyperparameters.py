"""Wire shapes of hyperparameters: as they are asked for, and as they are answered."""

from dataclasses import asdict, fields
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field

from service.api.wire import RequestBody
from service.core import hyperparameters as domain
from service.core.domain.jobs import FineTuningJob
from service.core.hyperparameters import Auto, OverLength, SchedulerType

_Positive = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, le=1)]
MaxSeqLength = Annotated[int, Field(ge=8)] | Auto


class Hyperparameters(RequestBody):
    """OpenAI's three and ours; what is absent keeps its default. Answered as requested while `auto`
    is not resolved, then with the numbers that are used."""

    model_config = ConfigDict(populate_by_name=True)

    batch_size: Annotated[int, Field(ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: _Positive | Auto = "auto"
    n_epochs: Annotated[int, Field(ge=1, le=50)] | Auto = "auto"
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Absolute, instead of the multiplier."""
    lr_scheduler_type: SchedulerType = "cosine"
    warmup_ratio: _Share = 0.05
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    max_grad_norm: _Positive = 1.0
    max_seq_length: MaxSeqLength = "auto"
    """Tokens of the longest row; auto is the model's context, and 1,024 for raw text."""
    over_length: OverLength = "error"
    """What becomes of a longer row."""
    packing: bool | Auto = "auto"
    """Count rows of together `max_seq_length` tokens as one of a batch; auto does it for raw
    text."""
    max_tokens_per_step: Annotated[int, Field(ge=8, le=1_048_576)] | None = None
    """Fill each optimizer step with as many rows as have together so many tokens, instead of
    `batch_size` rows."""
    eval_steps: Annotated[int, Field(ge=1)] | Auto = "auto"
    n_checkpoints: Annotated[int, Field(ge=1, le=50)] | Auto = "auto"
    early_stopping_patience: Annotated[int, Field(ge=1)] | None = None
    """End after so many evaluations without a better one, and publish the best."""

    def to_domain(self) -> domain.Hyperparameters:
        """Those of every method. Raises InvalidHyperparameter for values that exclude each
        other."""
        names = [field.name for field in fields(domain.Hyperparameters)]
        return domain.Hyperparameters(**{name: getattr(self, name) for name in names})

    def own(self) -> dict[str, Any]:
        """Those of the method alone, of which no one is left to `auto`."""
        common = Hyperparameters.model_fields
        return {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name not in common and getattr(self, name) not in ("auto", None)
        }

    @classmethod
    def from_domain(cls, job: FineTuningJob) -> Self:
        """Not validated again: a resolved number may lie beyond what may be asked for."""
        values = asdict(job.method) | asdict(job.resolved or job.hyperparameters)
        if values["max_seq_length"] is None:
            values["max_seq_length"] = "auto"
        given: dict[str, Any] = {n: values[n] for n in cls.model_fields if n in values}
        construct: Any = cls.model_construct  # typed as if it gave this very class
        made: Self = construct(**given)
        return made


class DpoHyperparameters(Hyperparameters):
    """With the strength of the preference."""

    beta: Annotated[float, Field(gt=0, le=10)] | Auto = "auto"
    """0.1; for `simpo` 2."""
    gamma: Annotated[float, Field(ge=0, le=10)] | Auto = "auto"
    """The margin that `simpo` asks for; 1."""


class ReinforcementHyperparameters(Hyperparameters):
    """With OpenAI's of reinforcement, and what GRPO needs."""

    compute_multiplier: Annotated[float, Field(gt=1e-5, le=10)] | Auto = "auto"
    eval_interval: Annotated[int, Field(ge=1)] | Auto = "auto"
    eval_samples: Annotated[int, Field(ge=1, le=128)] | Auto = "auto"
    reasoning_effort: Literal["default", "low", "medium", "high"] = "default"
    samples_per_prompt: Annotated[int, Field(ge=2, le=128)] = 8
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    max_completion_tokens: Annotated[int, Field(ge=1, le=8192)] = 256
    kl_coefficient: Annotated[float, Field(ge=0, le=10)] = 0.02
    clip_range: Annotated[float, Field(gt=0, lt=1)] = 0.2


class RlhfHyperparameters(Hyperparameters):
    """With those of PPO."""

    rollout_batch_size: Annotated[int, Field(ge=1, le=1024)] = 32
    temperature: Annotated[float, Field(gt=0, le=2)] = 1.0
    max_completion_tokens: Annotated[int, Field(ge=1, le=8192)] = 256
    kl_coefficient: Annotated[float, Field(ge=0, le=10)] = 0.05
    gamma: _Share = 1.0
    lam: _Share = Field(0.95, alias="lambda")
    clip_range: Annotated[float, Field(gt=0, lt=1)] = 0.2
    value_coefficient: Annotated[float, Field(gt=0, le=10)] = 0.1
    value_clip: _Positive = 0.2
    ppo_epochs: Annotated[int, Field(ge=1, le=16)] = 2
