"""One attempt at a verification: check the receipt, replay the first steps, compare."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from jobs.methods.reporting import StepReport
from jobs.models.operation import begin, clear, note_progress, succeed
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import Inputs, read_inputs
from jobs.verification.comparing import (
    compare_steps,
    compare_weights,
    tolerance_of,
    verdict_of,
)
from jobs.verification.receipt_check import (
    Difference,
    differences_from_data,
    differences_from_job,
)
from jobs.verification.replaying import Replay, replay
from service.core.domain.jobs import Checkpoint
from service.core.domain.models import TunedModel
from service.core.domain.operations import Operation
from service.core.errors import InvalidTrainingFile, StartModelGone, VerificationRefused
from service.core.manifest import MANIFEST_NAME, Manifest
from service.core.object_keys import attempt_prefix
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.models import ModelRepository
from service.core.storage import ObjectNotFound

_ALL = 1000


@dataclass(frozen=True)
class _Account:
    """What the job has left."""

    inputs: Inputs
    receipt: Mapping[str, Any]
    metrics: Sequence[Mapping[str, Any]]
    model: TunedModel | None
    checkpoint: Checkpoint | None
    """The last one within the steps."""


def verify_job(attempt: Attempt) -> None:
    """Raises VerificationRefused where something is gone that the replay needs, NotYet, Drained,
    StaleEpoch, TrainingFailed, and Unavailable for parts that are away."""
    operation = begin(attempt)
    claim = attempt.claim
    try:
        result = _verify(attempt, operation)
    except (InvalidTrainingFile, StartModelGone, ObjectNotFound) as error:
        raise VerificationRefused(f"The job cannot be replayed: {error}") from None
    finally:
        prefix_of = partial(attempt_prefix, claim.project_id, operation.id)
        clear(attempt, prefix_of, range(1, claim.epoch + 1))
    succeed(attempt, result, lambda _: None)


def _verify(attempt: Attempt, operation: Operation) -> Mapping[str, Any]:
    account = _read(attempt, operation)
    differences = [
        *differences_from_job(account.receipt, account.inputs.job, account.model, account.metrics),
        *differences_from_data(
            account.receipt,
            account.inputs.files,
            attempt.resources.store,
            attempt.control.check,
        ),
    ]
    if differences:
        return _contradicted(account, differences)
    steps = min(operation.request["steps"], account.metrics[-1]["step"])
    replayed = replay(attempt, account.inputs, operation.id, steps, _teller(attempt, steps))
    return _compared(attempt, account, replayed, steps)


def _read(attempt: Attempt, operation: Operation) -> _Account:
    inputs = read_inputs(attempt, operation.subject)
    job, steps = inputs.job, operation.request["steps"]
    with attempt.reading() as connection:
        metrics = EventRepository(connection, attempt.scope).metrics(job.id)
        model = ModelRepository(connection, attempt.scope).find(job.reserved_model_name)
        stored = CheckpointRepository(connection, attempt.scope).list(
            job.id, after=None, limit=_ALL
        )
    within = [checkpoint for checkpoint in stored.items if checkpoint.step <= steps]
    receipt = operation.request["receipt"]
    if receipt is None:
        receipt = json.loads(attempt.resources.store.get_bytes(job.artefacts["receipt"]))
    checkpoint = max(within, key=lambda checkpoint: checkpoint.step, default=None)
    return _Account(inputs, receipt, metrics, model, checkpoint)


def _teller(attempt: Attempt, steps: int) -> Callable[[StepReport], None]:
    def tell(report: StepReport) -> None:
        if report.step:
            note_progress(attempt, report.step / (steps + 1))

    return tell


def _contradicted(account: _Account, differences: Sequence[Difference]) -> Mapping[str, Any]:
    """A receipt that does not say what was done describes nothing that could be replayed."""
    return {
        "verdict": "different",
        "unmixed": account.receipt.get("unmixed") is True,
        "steps": 0,
        "metric": None,
        "tolerance": None,
        "largest_difference": None,
        "losses": [],
        "weights": None,
        "differences": [asdict(difference) for difference in differences],
        "environment": [],
    }


def _compared(
    attempt: Attempt, account: _Account, replayed: Replay, steps: int
) -> Mapping[str, Any]:
    compared = compare_steps(account.metrics, replayed.reports, steps)
    checkpoint = account.checkpoint
    manifest = None if checkpoint is None else _manifest(attempt, checkpoint)
    weights = compare_weights(manifest, checkpoint.step if checkpoint else 0, replayed.saves)
    engine, now = account.receipt.get("engine") or {}, dict(replayed.opened.environment)
    dtype = now.get("dtype", "")
    return {
        "verdict": verdict_of(compared, weights, dtype=dtype),
        "unmixed": account.receipt.get("unmixed") is True,
        "steps": steps,
        "metric": compared.metric,
        "tolerance": tolerance_of(dtype),
        "largest_difference": compared.largest_difference,
        "losses": [asdict(step) for step in compared.steps],
        "weights": weights and {**asdict(weights), "is_equal": weights.is_equal},
        "differences": [],
        "environment": [
            {"name": name, "receipt": engine.get(name), "found": now.get(name)}
            for name in sorted({*engine, *now})
            if engine.get(name) != now.get(name)
        ],
    }


def _manifest(attempt: Attempt, checkpoint: Checkpoint) -> Manifest | None:
    """None for a checkpoint whose objects are gone."""
    try:
        content = attempt.resources.store.get_bytes(f"{checkpoint.delta.key}/{MANIFEST_NAME}")
    except ObjectNotFound:
        return None
    return Manifest.from_bytes(content)
