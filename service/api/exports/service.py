"""What can be done with exports: only by the project that owns the model."""

from service.api.exports.requests import CreateExport
from service.api.operations.ending import cancel
from service.core.database import Connection, Database
from service.core.domain.access import Principal, Scope
from service.core.domain.models import ResolvedModel
from service.core.domain.operations import Operation, OperationKind
from service.core.domain.work import WorkKind
from service.core.errors import Forbidden, InvalidRequest, OperationNotFound
from service.core.ids import new_export_id
from service.core.repositories.audit import record
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.models import ModelRepository
from service.core.repositories.operations import OperationRepository
from service.core.repositories.paging import Page
from service.core.repositories.work import WorkRepository


class ExportService:
    """Exports of the caller's models and checkpoints."""

    def __init__(self, database: Database, *, pool: str) -> None:
        self._database = database
        self._pool = pool

    def create(self, principal: Principal, model: str, request: CreateExport) -> Operation:
        """Pinned to what the name means now. Raises ModelNotFound, Forbidden, InvalidRequest."""
        scope = principal.scope
        with self._database.transaction() as connection:
            resolved = _owned(connection, scope, model)
            if resolved.delta is None:
                raise InvalidRequest(
                    f"{model} is a base; only tuned models and checkpoints are exported.",
                    param="model",
                )
            operation = OperationRepository(connection, scope).add(
                new_export_id(),
                OperationKind.EXPORT,
                resolved.name,
                {
                    "format": request.format,
                    "base": resolved.base.name,
                    "base_digest": resolved.base.digest,
                    "key": resolved.delta.key,
                    "digest": resolved.delta.digest,
                },
            )
            work = WorkRepository(connection)
            work.add(scope.project_id, WorkKind.EXPORT, operation.id, pool=self._pool)
            record(connection, principal, "model.export.created", operation.id)
            return operation

    def list(
        self, principal: Principal, model: str, *, after: str | None, limit: int
    ) -> Page[Operation]:
        """Raises ModelNotFound, InvalidCursor."""
        with self._database.snapshot() as connection:
            subject = _owned(connection, principal.scope, model).name
            operations = OperationRepository(connection, principal.scope)
            return operations.list(OperationKind.EXPORT, subject=subject, after=after, limit=limit)

    def get(self, principal: Principal, model: str, export_id: str) -> Operation:
        """Raises ModelNotFound, OperationNotFound."""
        with self._database.snapshot() as connection:
            return _find(connection, principal.scope, model, export_id)

    def cancel(self, principal: Principal, model: str, export_id: str) -> Operation:
        """Raises ModelNotFound, OperationNotFound, OperationNotCancellable."""
        with self._database.transaction() as connection:
            operation = _find(connection, principal.scope, model, export_id)
            record(connection, principal, "model.export.cancelled", export_id)
            return cancel(connection, principal.scope, operation, WorkKind.EXPORT)


def _owned(connection: Connection, scope: Scope, model: str) -> ResolvedModel:
    """What the name, which may be an alias, means. Whoever may use a model may not take it away.

    Raises ModelNotFound, Forbidden."""
    models = ModelRepository(connection, scope)
    resolved = models.resolve(model)
    checkpoints = CheckpointRepository(connection, scope)
    name = resolved.name
    is_own = models.find(name) is not None or checkpoints.find_by_name(name) is not None
    if resolved.delta is not None and not is_own:
        raise Forbidden(f"{model} belongs to another project; only that project exports it.")
    return resolved


def _find(connection: Connection, scope: Scope, model: str, export_id: str) -> Operation:
    subject = _owned(connection, scope, model).name
    operations = OperationRepository(connection, scope)
    operation = operations.get(export_id, kind=OperationKind.EXPORT)
    if operation.subject != subject:
        raise OperationNotFound(f"No such operation: {export_id}", param="id")
    return operation
