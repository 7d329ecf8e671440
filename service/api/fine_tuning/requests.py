"""Wire shape of a job's creation, and its way into the domain."""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from service.api.fine_tuning.hyperparameters import Hyperparameters
from service.api.fine_tuning.methods import Method
from service.api.fine_tuning.tunings import Tuning, check_combination
from service.api.wire import Metadata, RequestBody
from service.core import hyperparameters as domain
from service.core.domain.integrations import WandbIntegration
from service.core.domain.methods import Method as DomainMethod
from service.core.domain.tunings import TuningSpec
from service.core.errors import InvalidHyperparameter

FileId = Annotated[str, Field(min_length=1, max_length=64)]


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


class JobOptions(RequestBody):
    """All of a job but what it is trained on."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
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
    """Deprecated place of those of the method."""
    tuning: Tuning | None = None
    exact: bool = False
    """Share no pass with another job, so that the same seed gives the same bytes."""

    def check_supported(self) -> None:
        """Raises UnsupportedParameter for what is well formed and cannot be done here."""
        if self.method is not None:
            self.method.check_supported()
        (self.tuning or Tuning()).check_supported()

    def to_integrations(self) -> list[WandbIntegration]:
        return [integration.to_domain() for integration in self.integrations or ()]

    def to_method(self) -> DomainMethod:
        """Raises InvalidRequest where options are missing or contradict each other."""
        return (self.method or Method(type="supervised")).to_domain()

    def to_hyperparameters(self) -> domain.Hyperparameters:
        """Raises InvalidHyperparameter when the two places contradict each other, and for what the
        method would never look at; and what `to_method` raises."""
        options = self.method.options if self.method else None
        current = options.hyperparameters if options else None
        old = self.hyperparameters
        if current is not None and old is not None and current.to_domain() != old.to_domain():
            place = f"method.{self.method.type if self.method else 'supervised'}.hyperparameters"
            raise InvalidHyperparameter(
                f"'hyperparameters' is the old place of '{place}', and the two differ; give one "
                "of them.",
                param="hyperparameters",
            )
        asked = (current or old or Hyperparameters()).to_domain()
        is_validated = self.validation_file is not None
        domain.check_used(asked, self.to_method(), is_validated=is_validated)
        return asked

    def to_tuning(self, method: DomainMethod) -> TuningSpec:
        """Raises UnsupportedParameter, InvalidRequest."""
        tuning = (self.tuning or Tuning()).to_domain()
        check_combination(method.type, tuning)
        return tuning


class CreateJob(JobOptions):
    """A request to fine-tune a model."""

    training_file: FileId

    def fingerprint(self) -> str:
        """sha256 of the request as canonical JSON: equal requests have equal fingerprints."""
        body = self.model_dump(mode="json", exclude_unset=True)
        canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
