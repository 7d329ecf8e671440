"""Asking for an examination of a file."""

from service.core.database import Connection
from service.core.datasets import RowKind
from service.core.domain.access import Scope
from service.core.domain.files import File, FilePurpose
from service.core.domain.operations import Operation, OperationKind
from service.core.domain.work import WorkKind
from service.core.ids import new_report_id
from service.core.repositories.operations import OperationRepository
from service.core.repositories.work import WorkRepository

_ANY_POOL = "any"
"""Reports are claimed by their id, in whatever pool."""


def ask_for_report(
    connection: Connection,
    scope: Scope,
    file: File,
    *,
    base: str | None = None,
    kind: RowKind | None = None,
) -> Operation | None:
    """The report that was asked for before, else a new one and its work. None for a file that is
    not for training.

    Without `base` that is for the default base, without `kind` for what the rows look like.
    """
    if file.purpose is not FilePurpose.FINE_TUNE:
        return None
    known = find_report(connection, scope, file, base=base, kind=kind)
    if known is not None:
        return known
    report = OperationRepository(connection, scope).add(
        new_report_id(), OperationKind.FILE_REPORT, file.id, {"base": base, "kind": kind}
    )
    WorkRepository(connection).add(
        scope.project_id, WorkKind.FILE_REPORT, report.id, pool=_ANY_POOL
    )
    return report


def find_report(
    connection: Connection, scope: Scope, file: File, *, base: str | None, kind: RowKind | None
) -> Operation | None:
    """One that was asked for before."""
    return OperationRepository(connection, scope).find(
        OperationKind.FILE_REPORT, file.id, {"base": base, "kind": kind}
    )
