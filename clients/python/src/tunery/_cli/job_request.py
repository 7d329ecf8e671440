"""From the options of `tunery jobs create` to the request."""

from dataclasses import dataclass
from pathlib import Path

import typer

from tunery._calls.jobs import JobRequest
from tunery._cli.files import upload_with_bar
from tunery._cli.options import default_model
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
    """`KEY=VALUE` each."""

    def hyperparameters(self) -> dict[str, int | float]:
        given = {
            "n_epochs": self.epochs,
            "batch_size": self.batch_size,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }
        return {name: value for name, value in given.items() if value is not None}

    def metadata_pairs(self) -> dict[str, str]:
        """Raises BadParameter."""
        pairs = {}
        for pair in self.metadata:
            key, separator, value = pair.partition("=")
            if not separator or not key:
                raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--metadata")
            pairs[key] = value
        return pairs


def job_request(
    client: Tunery, training_file: str, validation_file: str | None, options: TrainingOptions
) -> JobRequest:
    """Upload what is a local file, and name everything that was given.

    What can be wrong without the server is found before anything is uploaded.
    """
    metadata = options.metadata_pairs()
    for name in (training_file, validation_file):
        _check_file(name)
    request = JobRequest(
        model=options.model or default_model(client),
        training_file=_file_id(client, training_file),
        method={
            "type": "supervised",
            "supervised": {"hyperparameters": options.hyperparameters()},
        },
    )
    if validation_file is not None:
        request["validation_file"] = _file_id(client, validation_file)
    if options.suffix is not None:
        request["suffix"] = options.suffix
    if options.seed is not None:
        request["seed"] = options.seed
    if options.lora_rank is not None:
        request["tuning"] = {"type": "lora", "rank": options.lora_rank}
    if metadata:
        request["metadata"] = metadata
    return request


def _check_file(name: str | None) -> None:
    if name is not None and not Path(name).is_file() and not name.startswith("file-"):
        raise typer.BadParameter(f"{name!r} is neither a file here nor the id of one, file-…")


def _file_id(client: Tunery, name: str) -> str:
    path = Path(name)
    return upload_with_bar(client, path).id if path.is_file() else name
