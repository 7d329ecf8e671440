"""Reports on the caller's files."""

from typing import get_args

from service.api.reports.asking import Asked, ask_for_report, find_report
from service.core.database import Connection, Database
from service.core.datasets import RowKind
from service.core.domain.access import Principal, Scope
from service.core.domain.methods import MethodType
from service.core.domain.operations import Operation
from service.core.errors import InvalidRequest
from service.core.hyperparameters import Hyperparameters
from service.core.repositories.files import FileRepository
from service.core.repositories.models import ModelRepository


class ReportService:
    """A report is made once for a file, a base, a kind of rows and a limit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(
        self,
        principal: Principal,
        file_id: str,
        model: str | None,
        method: str | None,
        hyperparameters: Hyperparameters,
    ) -> Operation:
        """Asks for it if nobody has. Raises FileNotFound, ModelNotFound, and InvalidRequest for an
        unknown method or a file that is not for training."""
        kind = None if method is None else RowKind.of_method(known_method(method, param="method"))
        scope = principal.scope
        with self._database.snapshot() as connection:
            file = FileRepository(connection, scope).get(file_id)
            base = None if model is None else _base_of(connection, scope, model)
            asked = Asked(base, kind, _limits(hyperparameters))
            report = find_report(connection, scope, file, asked)
        if report is None:
            with self._database.transaction() as connection:
                file = FileRepository(connection, scope).get(file_id)
                report = ask_for_report(connection, scope, file, asked)
        if report is None:
            raise InvalidRequest(
                f"File {file_id} has the purpose {file.purpose}; reports are on files of the "
                "purpose fine-tune.",
                param="file_id",
            )
        return report


def _limits(asked: Hyperparameters) -> dict[str, object]:
    """Those that say how long a row may be and are not the default."""
    default = Hyperparameters()
    return {
        name: getattr(asked, name)
        for name in ("max_seq_length", "over_length")
        if getattr(asked, name) != getattr(default, name)
    }


def known_method(name: str, *, param: str) -> MethodType:
    """Raises InvalidRequest."""
    known: tuple[MethodType, ...] = get_args(MethodType)
    for method in known:
        if method == name:
            return method
    raise InvalidRequest(
        f"Invalid value for '{param}': {name!r} is none of {', '.join(known)}.", param=param
    )


def _base_of(connection: Connection, scope: Scope, model: str) -> str | None:
    """None for the default base. Raises ModelNotFound."""
    base = ModelRepository(connection, scope).resolve(model).base
    return base.name if base.position else None
