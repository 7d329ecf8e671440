"""Files that come in parts."""

from collections.abc import Sequence

from tunery._calls.parts import reading, segment
from tunery._flow import Call
from tunery._types import FilePart, FileUpload
from tunery._uploads import Upload


def create(*, filename: str, purpose: str, size: int) -> Call[FileUpload]:
    body = {
        "filename": filename,
        "purpose": purpose,
        "bytes": size,
        "mime_type": "application/octet-stream",
    }
    return Call("POST", "uploads", reading(FileUpload), body=body)


def add_part(upload_id: str, content: bytes) -> Call[FilePart]:
    form = Upload(content, "part", field="data")
    return Call("POST", f"{_path(upload_id)}/parts", reading(FilePart), upload=form)


def complete(upload_id: str, part_ids: Sequence[str], *, md5: str) -> Call[FileUpload]:
    body = {"part_ids": list(part_ids), "md5": md5}
    return Call("POST", f"{_path(upload_id)}/complete", reading(FileUpload), body=body)


def _path(upload_id: str) -> str:
    return f"uploads/{segment(upload_id)}"
