"""Whether a receipt says what the job's row, its metrics and its data say."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.runner.receipt import config_of
from service.core.domain.files import File
from service.core.domain.jobs import FineTuningJob
from service.core.domain.models import TunedModel
from service.core.storage import ObjectStore

_ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """A member of the receipt that something contradicts."""

    name: str
    """With dots between the members, such as `hyperparameters.batch_size`."""
    receipt: Any
    found: Any


def differences_from_job(
    receipt: Mapping[str, Any],
    job: FineTuningJob,
    model: TunedModel | None,
    metrics: Sequence[Mapping[str, Any]],
) -> list[Difference]:
    """`model`: what the job has published, unless it is deleted; `metrics`: data of its events."""
    known = config_of(job) | {"attempts": job.attempts}
    said = {name: receipt.get(name, _ABSENT) for name in known}
    steps = [data for data in metrics if data["step"]]
    if steps:
        known["steps"] = steps[-1]["step"]
        said["steps"] = receipt.get("steps", _ABSENT)
    if job.attempts == 1:
        # A step that a second attempt computed anew is told once, as the first one computed it.
        mixed = sum(1 for data in steps if data.get("details", {}).get("mixed"))
        known |= {"mixed_steps": mixed, "unmixed": mixed == 0}
        said |= {name: receipt.get(name, _ABSENT) for name in ("mixed_steps", "unmixed")}
    if model is not None:
        known |= {"base_digest": model.base_digest, "checkpoint": {"digest": model.delta.digest}}
        checkpoint = receipt.get("checkpoint")
        digest = checkpoint.get("digest") if isinstance(checkpoint, dict) else _ABSENT
        said |= {
            "base_digest": receipt.get("base_digest", _ABSENT),
            "checkpoint": {"digest": digest},
        }
    return list(_differences("", said, json.loads(json.dumps(known, default=str))))


def differences_from_data(
    receipt: Mapping[str, Any],
    files: Mapping[str, File],
    store: ObjectStore,
    pulse: Callable[[], None],
) -> list[Difference]:
    """Reads every file to its end. Raises ObjectNotFound, and what `pulse` raises."""
    found: dict[str, Any] = {}
    for param, file in files.items():
        digest = hashlib.sha256()
        for chunk in store.iterate(file.key):
            digest.update(chunk)
            pulse()
        found[param] = digest.hexdigest()
    return list(_differences("data", receipt.get("data", {}), found))


def _differences(name: str, receipt: Any, found: Any) -> Iterator[Difference]:
    if isinstance(receipt, dict) and isinstance(found, dict):
        for member in sorted({*receipt, *found}):
            path = f"{name}.{member}" if name else member
            yield from _differences(path, receipt.get(member, _ABSENT), found.get(member, _ABSENT))
    elif receipt != found:
        yield Difference(name, receipt, found)
