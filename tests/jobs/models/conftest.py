"""A shop that imports and exports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from jobs.models.exporting import export_model
from jobs.models.importing import import_model
from jobs.runner.attempt import claim_best, work_on
from jobs.runner.control import AttemptControl
from service.core.domain.models import TunedModel
from service.core.domain.operations import Operation, OperationKind
from service.core.domain.work import Claim, WorkKind
from service.core.ids import new_export_id, new_import_id
from service.core.repositories.models import ModelRepository
from service.core.repositories.operations import OperationRepository
from service.core.repositories.work import WorkRepository
from tests.fakes.engine import FAKE_BASE
from tests.jobs.shop import Shop


@dataclass(frozen=True)
class Desk:
    """What the api does for imports and exports, and one attempt at a time."""

    shop: Shop

    def ask_import(self, name: str = "ft:base:acme::imported", **request: Any) -> str:
        pinned = {"base": FAKE_BASE.name, "base_digest": FAKE_BASE.digest}
        return self._add(OperationKind.IMPORT, new_import_id(), name, {**pinned, **request})

    def ask_export(self, model: TunedModel, format: str) -> str:
        request = {
            "format": format,
            "base": model.base,
            "base_digest": model.base_digest,
            "key": model.delta.key,
            "digest": model.delta.digest,
        }
        return self._add(OperationKind.EXPORT, new_export_id(), model.name, request)

    def work(self, kind: WorkKind, control: AttemptControl | None = None) -> Claim | None:
        """One attempt at what waits."""
        claim = claim_best(self.shop.resources, kind)
        body = import_model if kind is WorkKind.IMPORT else export_model
        if claim is not None:
            work_on(self.shop.resources, claim, control or AttemptControl(), body)
        return claim

    def imported(self, *, control: AttemptControl | None = None, **request: Any) -> Operation:
        """After one attempt."""
        operation = self.ask_import(**request)
        self.work(WorkKind.IMPORT, control)
        return self.operation(operation)

    def upload_all(self, files: Mapping[str, bytes]) -> dict[str, str]:
        return {name: self.shop.upload_bytes(content) for name, content in files.items()}

    def cancel(self, operation: str, kind: WorkKind) -> None:
        with self.shop.database.transaction() as connection:
            OperationRepository(connection, self.shop.scope).cancel(operation)
            WorkRepository(connection).remove(kind, operation)

    def operation(self, operation: str) -> Operation:
        with self.shop.database.snapshot() as connection:
            return OperationRepository(connection, self.shop.scope).get(operation)

    def model(self, name: str = "ft:base:acme::imported") -> TunedModel | None:
        with self.shop.database.snapshot() as connection:
            return ModelRepository(connection, self.shop.scope).find(name)

    def stored(self, part: str) -> list[str]:
        """Keys of the project's imports or exports."""
        store = self.shop.resources.store
        return list(store.list_keys(f"p/{self.shop.scope.project_id}/{part}/"))

    def _add(self, kind: OperationKind, id: str, subject: str, request: dict[str, Any]) -> str:
        work = WorkKind.IMPORT if kind is OperationKind.IMPORT else WorkKind.EXPORT
        with self.shop.database.transaction() as connection:
            OperationRepository(connection, self.shop.scope).add(id, kind, subject, request)
            WorkRepository(connection).add(
                self.shop.scope.project_id, work, id, pool=self.shop.resources.settings.pool
            )
        return id


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)
