"""Reports on the caller's files."""

from service.api.reports.asking import ask_for_report, find_report
from service.core.database import Connection, Database
from service.core.datasets import RowKind
from service.core.domain.access import Principal, Scope
from service.core.domain.operations import Operation
from service.core.errors import InvalidRequest
from service.core.repositories.files import FileRepository
from service.core.repositories.models import ModelRepository


class ReportService:
    """A report is made once for a file, a base and a kind of rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(
        self, principal: Principal, file_id: str, *, model: str | None, method: str | None
    ) -> Operation:
        """Asks for it if nobody has. Raises FileNotFound, ModelNotFound, and InvalidRequest for an
        unknown method or a file that is not for training."""
        kind = None if method is None else kind_of_method(method, param="method")
        scope = principal.scope
        with self._database.snapshot() as connection:
            file = FileRepository(connection, scope).get(file_id)
            base = None if model is None else _base_of(connection, scope, model)
            report = find_report(connection, scope, file, base=base, kind=kind)
        if report is None:
            with self._database.transaction() as connection:
                file = FileRepository(connection, scope).get(file_id)
                report = ask_for_report(connection, scope, file, base=base, kind=kind)
        if report is None:
            raise InvalidRequest(
                f"File {file_id} has the purpose {file.purpose}; reports are on files of the "
                "purpose fine-tune.",
                param="file_id",
            )
        return report


def kind_of_method(method: str, *, param: str) -> RowKind:
    """Raises InvalidRequest."""
    try:
        return RowKind.of_method(method)
    except KeyError:
        known = ", ".join(name for kind in RowKind for name in kind.methods)
        raise InvalidRequest(
            f"Invalid value for '{param}': {method!r} is none of {known}.", param=param
        ) from None


def _base_of(connection: Connection, scope: Scope, model: str) -> str | None:
    """None for the default base. Raises ModelNotFound."""
    base = ModelRepository(connection, scope).resolve(model).base
    return base.name if base.position else None
