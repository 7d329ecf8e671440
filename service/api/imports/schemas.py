"""Wire shapes of imports."""

from typing import Any, Literal

from service.api.operations.schemas import OperationObject, operation_fields
from service.api.wire import Answer
from service.core.domain.operations import Operation
from service.core.repositories.paging import Page


class ImportResult(Answer):
    """The adapter as it is served."""

    model: str
    digest: str
    rank: int
    alpha: float
    use_rslora: bool
    target_modules: list[str]
    warnings: list[str]
    parity: dict[str, Any]
    """Logits of probe prompts, as served, against W + scaling · B·A computed in fp32."""


class ImportObject(OperationObject):
    """An adapter on its way to be a model."""

    object: Literal["model.import"] = "model.import"
    base: str
    model: str
    """The model's name, reserved from the start; it answers once the import has succeeded."""
    result: ImportResult | None

    @classmethod
    def from_domain(cls, operation: Operation) -> "ImportObject":
        result = operation.result
        return cls(
            **operation_fields(operation),
            base=operation.request["base"],
            model=operation.subject,
            result=None if result is None else ImportResult(**result),
        )


class ImportList(Answer):
    """A page of imports."""

    object: Literal["list"] = "list"
    data: list[ImportObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[Operation]) -> "ImportList":
        return cls(
            data=[ImportObject.from_domain(operation) for operation in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )
