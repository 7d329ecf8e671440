"""Wire shape of a job's creation, and its way into the domain."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from service.api.wire import Metadata, RequestBody
from service.core.domain.integrations import WandbIntegration
from service.core.domain.jobs import LoraTuningSpec
from service.core.errors import InvalidHyperparameter, UnsupportedParameter
from service.core.hyperparameters import SchedulerType, SupervisedHyperparameters

FileId = Annotated[str, Field(min_length=1, max_length=64)]
Auto = Literal["auto"]


class Hyperparameters(RequestBody):
    """OpenAI's three and ours; what is absent keeps its default."""

    batch_size: Annotated[int, Field(ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0)] | Auto = "auto"
    n_epochs: Annotated[int, Field(ge=1, le=50)] | Auto = "auto"
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """Absolute, instead of the multiplier."""
    lr_scheduler_type: SchedulerType = "cosine"
    warmup_ratio: Annotated[float, Field(ge=0, le=1)] = 0.05
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0

    def to_domain(self) -> SupervisedHyperparameters:
        """Raises InvalidHyperparameter for values that exclude each other."""
        return SupervisedHyperparameters(**self.model_dump())


class Supervised(RequestBody):
    """Options of supervised fine-tuning."""

    hyperparameters: Hyperparameters | None = None


class Method(RequestBody):
    """How the model is trained."""

    model_config = ConfigDict(extra="allow")

    type: str
    supervised: Supervised | None = None

    def check_supported(self) -> None:
        """Raises UnsupportedParameter for every other method, whatever its options."""
        if self.type != "supervised":
            raise UnsupportedParameter(
                f"Unsupported value for 'method.type': {self.type!r}. "
                "This server trains with 'supervised'.",
                param="method.type",
            )
        for name in self.model_extra or {}:
            raise UnsupportedParameter(
                f"Unsupported parameter: 'method.{name}' does not belong to the method "
                "'supervised'.",
                param=f"method.{name}",
            )


class Tuning(RequestBody):
    """What is trained: a low-rank adapter."""

    model_config = ConfigDict(extra="allow")

    type: str = "lora"
    rank: Annotated[int, Field(ge=1, le=256)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: (
        Literal["all-linear"]
        | Annotated[
            list[Annotated[str, Field(min_length=1, max_length=128)]],
            Field(min_length=1, max_length=64),
        ]
    ) = "all-linear"
    use_rslora: bool = False

    def to_domain(self) -> LoraTuningSpec:
        """Raises UnsupportedParameter for what is not a plain low-rank adapter."""
        if self.type != "lora":
            raise UnsupportedParameter(
                f"Unsupported value for 'tuning.type': {self.type!r}. This server trains 'lora'.",
                param="tuning.type",
            )
        for name, value in (self.model_extra or {}).items():
            if name != "use_dora" or value is not False:
                raise UnsupportedParameter(
                    f"Unsupported parameter: 'tuning.{name}'.", param=f"tuning.{name}"
                )
        modules = self.target_modules
        return LoraTuningSpec(
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            target_modules=modules if modules == "all-linear" else tuple(modules),
            use_rslora=self.use_rslora,
        )


class Wandb(RequestBody):
    """The W&B run that the metrics go to."""

    project: Annotated[str, Field(min_length=1, max_length=128)]
    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    entity: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    tags: (
        Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=50)]
        | None
    ) = None


class Integration(RequestBody):
    """A service that the job reports to."""

    type: Literal["wandb"]
    wandb: Wandb

    def to_domain(self) -> WandbIntegration:
        wandb = self.wandb
        return WandbIntegration(wandb.project, wandb.name, wandb.entity, tuple(wandb.tags or ()))


class CreateJob(RequestBody):
    """A request to fine-tune a model."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    training_file: FileId
    validation_file: FileId | None = None
    suffix: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] | None = (
        None
    )
    """The fourth part of the tuned model's name, so without colon, slash or space."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    metadata: Metadata | None = None
    integrations: Annotated[list[Integration], Field(max_length=1)] | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None
    """Deprecated place of `method.supervised.hyperparameters`."""
    tuning: Tuning | None = None

    def check_supported(self) -> None:
        """Raises UnsupportedParameter for what is well formed and cannot be done here."""
        if self.method is not None:
            self.method.check_supported()

    def to_integrations(self) -> list[WandbIntegration]:
        return [integration.to_domain() for integration in self.integrations or ()]

    def to_hyperparameters(self) -> SupervisedHyperparameters:
        """Raises InvalidHyperparameter when the two places contradict each other."""
        supervised = self.method.supervised if self.method else None
        current = supervised.hyperparameters if supervised else None
        old = self.hyperparameters
        if current is not None and old is not None and current != old:
            raise InvalidHyperparameter(
                "'hyperparameters' is the old place of 'method.supervised.hyperparameters', and "
                "the two differ; give one of them.",
                param="hyperparameters",
            )
        return (current or old or Hyperparameters()).to_domain()

    def to_tuning(self) -> LoraTuningSpec:
        return (self.tuning or Tuning()).to_domain()

    def fingerprint(self) -> str:
        """sha256 of the request as canonical JSON: equal requests have equal fingerprints."""
        body = self.model_dump(mode="json", exclude_unset=True)
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
