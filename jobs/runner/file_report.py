"""An examination of a file that no job has asked for: at upload, or for another model or method."""

from dataclasses import asdict, dataclass

from jobs.runner.attempt import Attempt
from jobs.runner.control import NotYet
from jobs.runner.inputs import load_codec
from jobs.runner.patience import patiently
from service.core.datasets import (
    Examination,
    LengthLimit,
    Report,
    RowKind,
    SeenRows,
    examine,
    guess_kind,
)
from service.core.datasets.formats import as_jsonl
from service.core.domain.files import File
from service.core.domain.models import Base
from service.core.domain.operations import Operation
from service.core.errors import FileNotFound, InvalidTrainingFile
from service.core.hyperparameters import Hyperparameters
from service.core.repositories.files import FileRepository
from service.core.repositories.operations import OperationRepository
from service.core.repositories.registry import RegistryRepository
from service.core.repositories.work import WorkRepository
from service.core.storage import ObjectNotFound, StoredObjectSource


@dataclass(frozen=True)
class _Inputs:
    operation: Operation
    file: File
    base: Base


def report_on_file(attempt: Attempt) -> None:
    """Raises NotYet, StorageUnavailable, and InvalidTrainingFile for a file that is gone."""
    try:
        _report_on_file(attempt)
    except (FileNotFound, ObjectNotFound):
        raise InvalidTrainingFile("The file no longer exists; upload it again.") from None


def _report_on_file(attempt: Attempt) -> None:
    inputs = _read(attempt)
    codec = load_codec(attempt, inputs.base)
    _begin(attempt)
    file = inputs.file
    source = StoredObjectSource(attempt.resources.store, file.key, file.bytes)
    asked = inputs.operation.request["kind"]
    kind = RowKind(asked) if asked else guess_kind(as_jsonl(source), file.filename)
    requested = Hyperparameters(**inputs.operation.request["hyperparameters"])
    limit = LengthLimit.of(requested, kind.methods[0], inputs.base.context_length)
    report = Report()
    with SeenRows() as seen:
        examination = Examination(
            kind=kind,
            codec=codec,
            limit=limit,
            seen=seen,
            pulse=attempt.control.check,
        )
        for _ in examine(as_jsonl(source, kind=kind), examination, report):
            pass
    result = {
        "base": inputs.base.name,
        "kind": kind,
        "limit": asdict(limit),
        "report": report.to_json(),
    }

    def store() -> None:
        with attempt.writing() as connection:
            operations = OperationRepository(connection, attempt.scope)
            operations.succeed(attempt.claim.subject_id, result)
            WorkRepository(connection).finish(attempt.claim)

    patiently(attempt.control, store)


def _read(attempt: Attempt) -> _Inputs:
    with attempt.reading() as connection:
        operations = OperationRepository(connection, attempt.scope)
        operation = operations.get(attempt.claim.subject_id)
        file = FileRepository(connection, attempt.scope).get_in_use(operation.subject)
        bases = RegistryRepository(connection).list_bases()
    wanted = operation.request["base"]
    base = next((base for base in bases if wanted in (None, base.name)), None)
    if base is None:
        raise NotYet(f"Waiting for an engine that holds {wanted or 'a base'}.")
    return _Inputs(operation, file, base)


def _begin(attempt: Attempt) -> None:
    with attempt.writing() as connection:
        OperationRepository(connection, attempt.scope).begin(attempt.claim.subject_id)
