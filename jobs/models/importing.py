"""One attempt at an import: fetch, check, prove, publish."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from jobs.models.checking import CheckedAdapter, check_adapter
from jobs.models.engine import artefact_client, find_base
from jobs.models.fetching import Fetching
from jobs.models.operation import begin, clear, note_progress, succeed
from jobs.models.prompts import probe_dialogues
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import load_codec
from service.core.database import Connection
from service.core.domain.models import Base, Delta
from service.core.domain.operations import Operation
from service.core.engine_client import ArtefactClient
from service.core.engine_protocol import Comparison, DeltaRef, ModelRef, ProbeRequest
from service.core.errors import AdapterCorrupt, InvalidAdapter, InvalidRequest, StaleEpoch
from service.core.manifest import MANIFEST_NAME, Manifest, ManifestFile
from service.core.object_keys import import_prefix
from service.core.repositories.models import ModelRepository
from service.core.storage import StoredObject


def import_model(attempt: Attempt) -> None:
    """From the uploaded files to a model that answers.

    Raises InvalidAdapter and UnsupportedParameter, after which nothing is left of it; NotYet,
    Drained, StaleEpoch, and Unavailable for parts that are away.
    """
    operation = begin(attempt)
    claim = attempt.claim
    prefix_of = partial(import_prefix, claim.project_id, operation.id)
    clear(attempt, prefix_of, range(1, claim.epoch))
    try:
        _import(attempt, operation, prefix_of(claim.epoch))
    except (InvalidRequest, StaleEpoch):
        clear(attempt, prefix_of, range(claim.epoch, claim.epoch + 1))
        raise


def _import(attempt: Attempt, operation: Operation, prefix: str) -> None:
    request = operation.request
    base = find_base(attempt, request["base"], request["base_digest"])
    codec = load_codec(attempt, base)
    with artefact_client(attempt, base) as engine:
        shapes = engine.shapes(base.name).linears
        files = Fetching(attempt, prefix, shapes).fetch(request)
        note_progress(attempt, 0.4)
        checked = check_adapter(attempt.resources.store, files, shapes, base.name)
        delta = _store_manifest(attempt, operation, base, prefix, files)
        note_progress(attempt, 0.5)
        rows = tuple(dialogue.tokens for dialogue in probe_dialogues(codec))
        parity = _probe(engine, base, delta, rows)
    publish = partial(_publish, attempt, operation, base, delta)
    succeed(attempt, _result(operation, checked, parity, delta), publish)


def _store_manifest(
    attempt: Attempt,
    operation: Operation,
    base: Base,
    prefix: str,
    files: Mapping[str, StoredObject],
) -> Delta:
    manifest = Manifest(
        kind="lora",
        base=base.name,
        base_digest=base.digest,
        job=operation.id,
        step=0,
        files=tuple(
            ManifestFile(name, stored.bytes, stored.sha256) for name, stored in files.items()
        ),
    )
    attempt.resources.store.put_bytes(prefix + MANIFEST_NAME, manifest.to_bytes())
    return Delta(prefix.rstrip("/"), manifest.digest)


def _probe(
    engine: ArtefactClient, base: Base, delta: Delta, rows: tuple[tuple[int, ...], ...]
) -> Comparison:
    """Raises InvalidAdapter for weights that are not finite or not what they say."""
    ref = DeltaRef(id=delta.digest, key=delta.key, digest=delta.digest)
    try:
        probed = engine.probe(ProbeRequest(model=ModelRef(base=base.name, delta=ref), rows=rows))
    except AdapterCorrupt as error:
        raise InvalidAdapter(f"The adapter cannot be loaded: {error.message}") from error
    comparison = probed.comparison
    if comparison is None:
        raise InvalidAdapter(
            "With the adapter the model's logits are not finite: its weights are too large."
        )
    if not comparison.is_parity:
        raise InvalidAdapter(
            "Served here, the adapter would not compute what PEFT computes: the logits of the "
            f"probe prompts differ by {comparison.median_difference:.2g}, and "
            f"{comparison.bound:.2g} is allowed."
        )
    return comparison


def _publish(
    attempt: Attempt, operation: Operation, base: Base, delta: Delta, connection: Connection
) -> None:
    ModelRepository(connection, attempt.scope).add(
        operation.subject, base=base.name, base_digest=base.digest, job_id=None, delta=delta
    )


def _result(
    operation: Operation, checked: CheckedAdapter, parity: Comparison, delta: Delta
) -> dict[str, Any]:
    tuning = checked.tuning
    return {
        "model": operation.subject,
        "digest": delta.digest,
        "rank": tuning.rank,
        "alpha": tuning.alpha,
        "use_rslora": tuning.use_rslora,
        "target_modules": list(checked.modules),
        "warnings": list(checked.warnings),
        "parity": parity.model_dump(mode="json"),
    }
