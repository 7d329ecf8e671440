"""Wire shapes of exports."""

from typing import Any, Literal

from service.api.operations.schemas import OperationObject, operation_fields
from service.api.wire import Answer
from service.core.domain.operations import Operation
from service.core.repositories.paging import Page


class ExportResult(Answer):
    """The file, and what proves it."""

    file: str
    """Id of a file; its content is at /v1/files/{file}/content."""
    format: str
    bytes: int
    certificate: dict[str, Any]


class ExportObject(OperationObject):
    """A model on its way to be a file."""

    object: Literal["model.export"] = "model.export"
    model: str
    format: str
    result: ExportResult | None

    @classmethod
    def from_domain(cls, operation: Operation) -> "ExportObject":
        result = operation.result
        return cls(
            **operation_fields(operation),
            model=operation.subject,
            format=operation.request["format"],
            result=None if result is None else ExportResult(**result),
        )


class ExportList(Answer):
    """A page of exports."""

    object: Literal["list"] = "list"
    data: list[ExportObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[Operation]) -> "ExportList":
        return cls(
            data=[ExportObject.from_domain(operation) for operation in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )
