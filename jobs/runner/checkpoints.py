"""A stored save becomes a checkpoint: manifests last, then the row that makes it a model."""

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
from service.core.object_keys import adapter_prefix, state_prefix
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.events import EventRepository
from service.core.repositories.work import WorkRepository

_ADAPTER, _STATE = "adapter/", "state/"


def record_checkpoint(
    attempt: Attempt,
    job: FineTuningJob,
    save: StoredSave,
    *,
    step: int,
    base_digest: str,
    metrics: Mapping[str, float],
) -> Delta:
    """A checkpoint that training can go on from, if its state was saved too. Raises StaleEpoch."""
    place = (attempt.scope.project_id, job.id, attempt.claim.epoch, step)

    def describe(kind: str, folder: str) -> Manifest:
        return Manifest(
            kind=kind,
            base=job.base,
            base_digest=base_digest,
            job=job.id,
            step=step,
            files=tuple(
                ManifestFile(file.name.removeprefix(folder), file.bytes, file.sha256)
                for file in save.files
                if file.name.startswith(folder)
            ),
        )

    state = describe("state", _STATE)
    stored_state = _complete(attempt, state_prefix(*place), state) if state.files else None
    delta = _complete(attempt, adapter_prefix(*place), describe("lora", _ADAPTER))
    add_row = partial(
        _add_row, attempt, job, step=step, delta=delta, state=stored_state, metrics=metrics
    )
    patiently(attempt.control, add_row)
    return delta


def _complete(attempt: Attempt, key: str, manifest: Manifest) -> Delta:
    """Write the manifest of files that are stored already."""
    write = partial(
        attempt.resources.store.put_bytes, f"{key}/{MANIFEST_NAME}", manifest.to_bytes()
    )
    patiently(attempt.control, write)
    return Delta(key, manifest.digest)


def _add_row(
    attempt: Attempt,
    job: FineTuningJob,
    *,
    step: int,
    delta: Delta,
    state: Delta | None,
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
            state=state,
        )
        name = checkpoint_model_name(job.reserved_model_name, step)
        EventRepository(connection, attempt.scope).append(
            job.id, [events.checkpoint_stored(step, name)]
        )
