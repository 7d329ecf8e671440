"""What can be done with imports."""

from service.api.imports.requests import CreateImport
from service.api.operations.ending import cancel
from service.core.database import Connection, Database
from service.core.domain.access import Principal, Scope
from service.core.domain.files import FilePurpose
from service.core.domain.models import Base
from service.core.domain.operations import Operation, OperationKind
from service.core.domain.work import WorkKind
from service.core.errors import FileNotFound, InvalidRequest, ModelNotFound, UnknownFile
from service.core.ids import new_import_id, tuned_model_name
from service.core.repositories.audit import record
from service.core.repositories.files import FileRepository
from service.core.repositories.operations import OperationRepository
from service.core.repositories.paging import Page
from service.core.repositories.registry import RegistryRepository
from service.core.repositories.work import WorkRepository

_PURPOSES = (FilePurpose.USER_DATA, FilePurpose.FINE_TUNE_RESULTS)


class ImportService:
    """Imports into the caller's project."""

    def __init__(self, database: Database, *, pool: str) -> None:
        self._database = database
        self._pool = pool

    def create(self, principal: Principal, request: CreateImport) -> Operation:
        """The import and the work of doing it. Raises ModelNotFound, UnknownFile,
        InvalidRequest."""
        scope = principal.scope
        with self._database.transaction() as connection:
            base = _base(connection, request)
            for file_id in request.file_ids:
                _check_file(connection, scope, file_id)
            operation = OperationRepository(connection, scope).add(
                new_import_id(),
                OperationKind.IMPORT,
                tuned_model_name(base.name, scope.organization, request.suffix),
                {
                    "base": base.name,
                    "base_digest": base.digest,
                    "file_id": request.file_id,
                    "files": request.files,
                },
            )
            work = WorkRepository(connection)
            work.add(scope.project_id, WorkKind.IMPORT, operation.id, pool=self._pool)
            record(connection, principal, "model.import.created", operation.id)
            return operation

    def list(self, principal: Principal, *, after: str | None, limit: int) -> Page[Operation]:
        """Raises InvalidCursor."""
        with self._database.snapshot() as connection:
            operations = OperationRepository(connection, principal.scope)
            return operations.list(OperationKind.IMPORT, after=after, limit=limit)

    def get(self, principal: Principal, import_id: str) -> Operation:
        """Raises OperationNotFound."""
        with self._database.snapshot() as connection:
            operations = OperationRepository(connection, principal.scope)
            return operations.get(import_id, kind=OperationKind.IMPORT)

    def cancel(self, principal: Principal, import_id: str) -> Operation:
        """Raises OperationNotFound, OperationNotCancellable."""
        with self._database.transaction() as connection:
            operations = OperationRepository(connection, principal.scope)
            operation = operations.get(import_id, kind=OperationKind.IMPORT)
            record(connection, principal, "model.import.cancelled", import_id)
            return cancel(connection, principal.scope, operation, WorkKind.IMPORT)


def _base(connection: Connection, request: CreateImport) -> Base:
    registry = RegistryRepository(connection)
    base = registry.find_base(request.base)
    if base is None:
        known = ", ".join(base.name for base in registry.list_bases())
        raise ModelNotFound(
            f"{request.base!r} is no base of this server; there are: {known}.", param="base"
        )
    if request.base_digest not in (None, base.digest):
        raise InvalidRequest(
            f"The base {base.name} has the digest {base.digest} here: the adapter was trained on "
            "other weights.",
            param="base_digest",
        )
    return base


def _check_file(connection: Connection, scope: Scope, file_id: str) -> None:
    try:
        file = FileRepository(connection, scope).get(file_id)
    except FileNotFound:
        raise UnknownFile(f"No such File object: {file_id}", param="file_id") from None
    if file.purpose not in _PURPOSES:
        raise InvalidRequest(
            f"File {file_id} has the purpose {file.purpose}; upload it with the purpose user_data.",
            param="file_id",
        )
