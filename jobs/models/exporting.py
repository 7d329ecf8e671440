"""One attempt at an export: have an engine write and prove it, then make a file of it."""

import logging
from functools import partial

from jobs.models.engine import artefact_client, find_base
from jobs.models.operation import begin, clear, note_progress, succeed
from jobs.models.prompts import probe_dialogues
from jobs.runner.attempt import Attempt
from jobs.runner.inputs import load_codec
from service.core.database import Connection
from service.core.domain.files import FilePurpose
from service.core.domain.operations import Operation
from service.core.engine_client import ArtefactClient
from service.core.engine_protocol import (
    DeltaRef,
    ExportFormat,
    ExportRequest,
    ExportState,
    ModelRef,
    StoredFile,
    to_error,
)
from service.core.errors import AdapterCorrupt, ExportRefused, ServiceError
from service.core.ids import new_file_id
from service.core.object_keys import export_prefix
from service.core.repositories.files import FileRepository

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5


def export_model(attempt: Attempt) -> None:
    """From the model to a file.

    Raises ExportRefused for a model that cannot be written so or whose export is not proven: no
    file appears then. NotYet, Drained, StaleEpoch, and Unavailable for parts that are away.
    """
    operation = begin(attempt)
    claim = attempt.claim
    prefix_of = partial(export_prefix, claim.project_id, operation.id)
    clear(attempt, prefix_of, range(1, claim.epoch))
    try:
        _export(attempt, operation, prefix_of(claim.epoch))
    except ServiceError:
        clear(attempt, prefix_of, range(claim.epoch, claim.epoch + 1))
        raise


def _export(attempt: Attempt, operation: Operation, prefix: str) -> None:
    wanted = operation.request
    base = find_base(attempt, wanted["base"], wanted["base_digest"])
    codec = load_codec(attempt, base)
    ref = DeltaRef(id=wanted["digest"], key=wanted["key"], digest=wanted["digest"])
    file_id = new_file_id()
    key = f"{prefix}{file_id}"
    request = ExportRequest(
        id=f"{operation.id}-e{attempt.claim.epoch}",
        model=ModelRef(base=base.name, delta=ref),
        format=ExportFormat(wanted["format"]),
        key=key,
        dialogues=probe_dialogues(codec),
        end_tokens=codec.stop_token_ids,
    )
    with artefact_client(attempt, base) as engine:
        stored = _follow(attempt, engine, request)
    assert stored.file is not None
    publish = partial(_add_file, attempt, operation, file_id, key, stored.file)
    result = {
        "file": file_id,
        "format": request.format.value,
        "bytes": stored.file.bytes,
        "certificate": stored.certificate,
    }
    succeed(attempt, result, publish)


def _follow(attempt: Attempt, engine: ArtefactClient, request: ExportRequest) -> ExportState:
    """Until it is stored. An attempt that must end takes the export with it."""
    try:
        state = engine.start_export(request)
        told = 0.0
        while state.status == "running":
            attempt.control.pause(_LOOK_SECONDS)
            attempt.control.check()
            state = engine.export(request.id)
            if state.progress > told:
                told = state.progress
                note_progress(attempt, told)
    except AdapterCorrupt as error:
        raise ExportRefused(f"The stored model is damaged: {error.message}") from error
    except ServiceError:
        _cancel(engine, request.id)
        raise
    if state.error is not None:
        raise to_error(state.error)
    return state


def _cancel(engine: ArtefactClient, export: str) -> None:
    try:
        engine.cancel_export(export)
    except ServiceError as error:
        logger.warning("export %s runs on in its engine: %s", export, error)


def _add_file(
    attempt: Attempt,
    operation: Operation,
    file_id: str,
    key: str,
    stored: StoredFile,
    connection: Connection,
) -> None:
    FileRepository(connection, attempt.scope).add(
        file_id,
        filename=f"{operation.subject.replace(':', '-')}-{stored.name}",
        purpose=FilePurpose.FINE_TUNE_RESULTS,
        bytes=stored.bytes,
        sha256=stored.sha256,
        key=key,
    )
