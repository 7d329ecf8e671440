"""A stored save becomes a checkpoint: manifest last, then the row that makes it a model."""

from collections.abc import Mapping
from functools import partial

from jobs.runner import events
from jobs.runner.attempt import Attempt
from jobs.runner.patience import patiently
from jobs.runner.session import StoredSave
from service.core.domain.jobs import FineTuningJob
from service.core.domain.models import Delta
from service.core.ids import checkpoint_model_name
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.object_keys import adapter_prefix
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.work import WorkRepository

_ADAPTER = "adapter/"


def record_checkpoint(
    attempt: Attempt,
    job: FineTuningJob,
    save: StoredSave,
    *,
    step: int,
    base_digest: str,
    metrics: Mapping[str, float],
) -> Delta:
    """Raises StaleEpoch."""
    manifest = Manifest(
        kind="lora",
        base=job.base,
        base_digest=base_digest,
        job=job.id,
        step=step,
        files=tuple(
            ManifestFile(file.name.removeprefix(_ADAPTER), file.bytes, file.sha256)
            for file in save.files
            if file.name.startswith(_ADAPTER)
        ),
    )
    key = adapter_prefix(attempt.scope.project_id, job.id, attempt.claim.epoch, step)
    store = attempt.resources.store
    write_manifest = partial(store.put_bytes, f"{key}/{MANIFEST_NAME}", manifest.to_bytes())
    patiently(attempt.control, write_manifest)
    delta = Delta(key, manifest.digest)
    patiently(
        attempt.control, partial(_add_row, attempt, job, step=step, delta=delta, metrics=metrics)
    )
    return delta


def _add_row(
    attempt: Attempt,
    job: FineTuningJob,
    *,
    step: int,
    delta: Delta,
    metrics: Mapping[str, float],
) -> None:
    with attempt.writing() as connection:
        checkpoints = CheckpointRepository(connection, attempt.scope)
        if step > checkpoints.last_step(job.id):
            WorkRepository(connection).note_progress(attempt.claim)
        checkpoints.add(
            job.id,
            tuned_model=job.reserved_model_name,
            step=step,
            metrics={"step": step, **metrics},
            delta=delta,
        )
        name = checkpoint_model_name(job.reserved_model_name, step)
        EventRepository(connection, attempt.scope).append(
            job.id, [events.checkpoint_stored(step, name)]
        )
