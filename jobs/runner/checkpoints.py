"""A stored save becomes a checkpoint, a training state or both: manifests last, then the rows."""

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
from service.core.repositories.jobs import JobRepository
from service.core.repositories.states import StateRepository
from service.core.repositories.work import WorkRepository

_ADAPTER, _STATE = "adapter/", "state/"


def record_save(
    attempt: Attempt,
    job: FineTuningJob,
    save: StoredSave,
    *,
    step: int,
    base_digest: str,
    metrics: Mapping[str, float],
    artefacts: Mapping[str, str],
) -> Delta | None:
    """What can answer from now on, and what training can go on from. `artefacts`: what belongs to
    this step and is stored. None for a state alone. Raises StaleEpoch."""
    place = (attempt.scope.project_id, job.id, attempt.claim.epoch, step)

    def store_manifest(kind: str, folder: str, key: str) -> Delta | None:
        files = tuple(
            ManifestFile(file.name.removeprefix(folder), file.bytes, file.sha256, file.key)
            for file in save.files
            if file.name.startswith(folder)
        )
        manifest = Manifest(kind, job.base, base_digest, job.id, step, files)
        return _complete(attempt, key, manifest) if files else None

    state = store_manifest("state", _STATE, state_prefix(*place))
    delta = store_manifest("delta", _ADAPTER, adapter_prefix(*place))

    def add_rows() -> None:
        with attempt.writing() as connection:
            JobRepository(connection, attempt.scope).note_artefacts(job.id, artefacts)
            if state is not None:
                states = StateRepository(connection, attempt.scope)
                if states.add(job.id, step=step, place=state):
                    WorkRepository(connection).note_progress(attempt.claim)
            if delta is not None:
                CheckpointRepository(connection, attempt.scope).add(
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

    patiently(attempt.control, add_rows)
    return delta


def _complete(attempt: Attempt, key: str, manifest: Manifest) -> Delta:
    """Write the manifest of files that are stored already."""
    write = partial(
        attempt.resources.store.put_bytes, f"{key}/{MANIFEST_NAME}", manifest.to_bytes()
    )
    patiently(attempt.control, write)
    return Delta(key, manifest.digest)
