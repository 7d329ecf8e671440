"""Wire shapes of files."""

from typing import Literal

from service.api.wire import Answer
from service.core.domain.files import File
from service.core.repositories.paging import Page


class FileObject(Answer):
    """A stored file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"
    """Deprecated, but clients wait for it: a file can be used as soon as it is stored. What is
    wrong with its content is told by its report, and by the job that reads it."""
    status_details: None = None

    @classmethod
    def from_domain(cls, file: File) -> "FileObject":
        return cls(
            id=file.id,
            bytes=file.bytes,
            created_at=int(file.created_at),
            expires_at=None if file.expires_at is None else int(file.expires_at),
            filename=file.filename,
            purpose=file.purpose,
        )


class FileList(Answer):
    """A page of files."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def from_page(cls, page: Page[File]) -> "FileList":
        return cls(
            data=[FileObject.from_domain(file) for file in page.items],
            first_id=page.items[0].id if page.items else None,
            last_id=page.items[-1].id if page.items else None,
            has_more=page.has_more,
        )


class FileDeleted(Answer):
    """The file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
