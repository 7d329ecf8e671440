"""/v1/files"""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import StreamingResponse

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.files.form_fields import LONGEST_LIFE_SECONDS, SHORTEST_LIFE_SECONDS
from service.api.files.schemas import FileDeleted, FileList, FileObject
from service.api.files.service import FileService
from service.api.files.stored_form import FormStorage
from service.api.wire import Order

UPLOAD_PATH = "/v1/files"
_UPLOAD_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string"},
                        "expires_after": {
                            "type": "object",
                            "required": ["anchor", "seconds"],
                            "properties": {
                                "anchor": {"type": "string", "enum": ["created_at"]},
                                "seconds": {
                                    "type": "integer",
                                    "minimum": SHORTEST_LIFE_SECONDS,
                                    "maximum": LONGEST_LIFE_SECONDS,
                                },
                            },
                        },
                    },
                },
                # fields named expires_after[anchor] and expires_after[seconds], as the SDKs do
                "encoding": {"expires_after": {"style": "deepObject", "explode": True}},
            }
        },
    }
}

router = APIRouter(tags=["files"])


async def _service(resources: ResourcesDep) -> FileService:
    return FileService(
        resources.database,
        resources.store,
        FormStorage(resources.store, resources.upload_slots),
        max_file_bytes=resources.settings.max_file_bytes,
    )


FilesDep = Annotated[FileService, Depends(_service)]


@router.post(UPLOAD_PATH, openapi_extra=_UPLOAD_FORM)
async def upload_file(
    request: Request, caller: PrincipalDep, files: FilesDep, resources: ResourcesDep
) -> FileObject:
    """Upload a file; it is stored while it arrives."""
    file = await files.upload(caller, request.headers, request.stream())
    resources.ringer.wish()  # its report is due
    return FileObject.from_domain(file)


@router.get("/v1/files")
def list_files(
    caller: PrincipalDep,
    files: FilesDep,
    purpose: str | None = None,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
) -> FileList:
    """List the project's files."""
    page = files.list(caller, purpose=purpose, after=after, limit=limit, ascending=order == "asc")
    return FileList.of(page, FileObject.from_domain)


@router.get("/v1/files/{file_id}")
def retrieve_file(file_id: str, caller: PrincipalDep, files: FilesDep) -> FileObject:
    """Describe a file."""
    return FileObject.from_domain(files.get(caller, file_id))


@router.get("/v1/files/{file_id}/content", response_class=StreamingResponse)
def download_file(file_id: str, caller: PrincipalDep, files: FilesDep) -> StreamingResponse:
    """Send a file's bytes."""
    file, chunks = files.open_content(caller, file_id)
    headers = {
        "content-length": str(file.bytes),
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.filename)}",
        "x-content-type-options": "nosniff",
    }
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


@router.delete("/v1/files/{file_id}")
def delete_file(file_id: str, caller: PrincipalDep, files: FilesDep) -> FileDeleted:
    """Delete a file that no unfinished job reads."""
    files.delete(caller, file_id)
    return FileDeleted(id=file_id)
