"""Asking for an examination of a file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True)
class Asked:
    """What a file is examined for."""

    base: str | None = None
    """None: the default base."""
    kind: RowKind | None = None
    """None: what the rows look like."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """`max_seq_length` and `over_length`, where they are not a job's defaults."""

    def to_request(self) -> dict[str, Any]:
        """As it is stored; equal requests are one report."""
        return {
            "base": self.base,
            "kind": self.kind,
            "hyperparameters": dict(self.hyperparameters),
        }


def ask_for_report(
    connection: Connection, scope: Scope, file: File, asked: Asked | None = None
) -> Operation | None:
    """The report that was asked for before, else a new one and its work. None for a file that is
    not for training."""
    asked = asked or Asked()
    if file.purpose is not FilePurpose.FINE_TUNE:
        return None
    known = find_report(connection, scope, file, asked)
    if known is not None:
        return known
    report = OperationRepository(connection, scope).add(
        new_report_id(), OperationKind.FILE_REPORT, file.id, asked.to_request()
    )
    WorkRepository(connection).add(
        scope.project_id, WorkKind.FILE_REPORT, report.id, pool=_ANY_POOL
    )
    return report


def find_report(connection: Connection, scope: Scope, file: File, asked: Asked) -> Operation | None:
    """One that was asked for before."""
    return OperationRepository(connection, scope).find(
        OperationKind.FILE_REPORT, file.id, asked.to_request()
    )
