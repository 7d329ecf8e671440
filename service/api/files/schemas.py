"""Wire shapes of files."""

from typing import Literal

from service.api.pages import Listed, ListPage
from service.api.wire import Answer
from service.core.domain.files import File


class FileObject(Listed):
    """A stored file."""

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


class FileList(ListPage[FileObject]):
    """A page of files."""


class FileDeleted(Answer):
    """The file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
