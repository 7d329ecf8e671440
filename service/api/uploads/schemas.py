"""Wire shapes of uploads."""

from typing import Literal

from service.api.files.schemas import FileObject
from service.api.wire import Answer
from service.core.domain.files import File, Upload, UploadPart


class UploadObject(Answer):
    """A file on its way, in parts."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: FileObject | None = None

    @classmethod
    def from_domain(cls, upload: Upload, file: File | None = None) -> "UploadObject":
        return cls(
            id=upload.id,
            bytes=upload.bytes,
            created_at=int(upload.created_at),
            expires_at=int(upload.expires_at),
            filename=upload.filename,
            purpose=upload.purpose,
            status=upload.status.value,
            file=None if file is None else FileObject.from_domain(file),
        )


class UploadPartObject(Answer):
    """A stored part."""

    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str

    @classmethod
    def from_domain(cls, part: UploadPart) -> "UploadPartObject":
        return cls(id=part.id, created_at=int(part.created_at), upload_id=part.upload_id)
