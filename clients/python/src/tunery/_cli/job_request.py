"""From the options of `tunery jobs create` to the request."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tunery._calls.jobs import JobRequest
from tunery._calls.methods import Method, MethodType, Tuning, TuningType
from tunery._cli.options import default_model
from tunery._cli.uploading import check_file, file_id
from tunery._cli.values import json_file, pairs, values
from tunery._sync import Tunery


@dataclass(frozen=True)
class TrainingOptions:
    """What may be said of a job; None leaves it to the server."""

    model: str | None
    suffix: str | None
    epochs: int | None
    batch_size: int | None
    learning_rate_multiplier: float | None
    lora_rank: int | None
    seed: int | None
    metadata: tuple[str, ...]
    """`KEY=VALUE` each; so are the three below it."""
    more: tuple[str, ...] = ()
    """Further hyperparameters."""
    options: tuple[str, ...] = ()
    """Of the method."""
    tuning_options: tuple[str, ...] = ()
    method: MethodType = "supervised"
    tuning: TuningType | None = None
    learning_rate: float | None = None
    max_seq_length: int | None = None
    early_stopping_patience: int | None = None
    beta: float | None = None
    loss: str | None = None
    grader: Path | None = None
    reward_model: str | None = None
    is_exact: bool = False

    def hyperparameters(self) -> dict[str, Any]:
        """Raises BadParameter."""
        given = {
            "n_epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "learning_rate": self.learning_rate,
            "max_seq_length": self.max_seq_length,
            "early_stopping_patience": self.early_stopping_patience,
            "beta": self.beta,
        }
        named = {name: value for name, value in given.items() if value is not None}
        return {**values(self.more, "--hyperparameter"), **named}

    def method_options(self) -> dict[str, Any]:
        """Raises BadParameter."""
        given = {
            "loss": self.loss,
            "reward_model": self.reward_model,
            "grader": self.grader and json_file(self.grader, "--grader"),
        }
        named = {name: value for name, value in given.items() if value is not None}
        return {**values(self.options, "--method-option"), **named}

    def metadata_pairs(self) -> dict[str, str]:
        """Raises BadParameter."""
        return pairs(self.metadata, "--metadata")


def job_request(
    client: Tunery, training_file: str, validation_file: str | None, options: TrainingOptions
) -> JobRequest:
    """Upload what is a local file, and name everything that was given.

    What can be wrong without the server is found before anything is uploaded.
    """
    metadata = options.metadata_pairs()
    method, tuning = _method(options), _tuning(options)
    for name in (training_file, validation_file):
        check_file(name)
    request = JobRequest(
        model=options.model or default_model(client),
        training_file=file_id(client, training_file),
        method=method,
    )
    if validation_file is not None:
        request["validation_file"] = file_id(client, validation_file)
    if options.suffix is not None:
        request["suffix"] = options.suffix
    if options.seed is not None:
        request["seed"] = options.seed
    if tuning is not None:
        request["tuning"] = tuning
    if options.is_exact:
        request["exact"] = True
    if metadata:
        request["metadata"] = metadata
    return request


def _method(options: TrainingOptions) -> Method:
    """Only what was given: the server knows which options belong to which method."""
    given = options.method_options()
    numbers = options.hyperparameters()
    return cast(
        Method,
        {"type": options.method, options.method: {**given, "hyperparameters": numbers}},
    )


def _tuning(options: TrainingOptions) -> Tuning | None:
    members = values(options.tuning_options, "--tuning-option")
    if options.lora_rank is not None:
        members["rank"] = options.lora_rank
    if options.tuning is None and not members:
        return None
    return cast(Tuning, {"type": options.tuning or "lora", **members})
