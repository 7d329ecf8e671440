"""/v1/uploads"""

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from service.api.dependencies import PrincipalDep, RepeatedDep, ResourcesDep
from service.api.files.stored_form import FormStorage
from service.api.uploads.requests import CompleteUpload, CreateUpload
from service.api.uploads.schemas import UploadObject, UploadPartObject
from service.api.uploads.service import UploadService

PARTS_PATH = re.compile(r"/v1/uploads/[^/]+/parts")
_PART_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["data"],
                    "properties": {"data": {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])


async def _service(resources: ResourcesDep) -> UploadService:
    return UploadService(
        resources.database,
        resources.store,
        FormStorage(resources.store, resources.upload_slots),
        max_upload_bytes=resources.settings.max_upload_bytes,
    )


UploadsDep = Annotated[UploadService, Depends(_service)]


@router.post("")
def create_upload(body: CreateUpload, caller: PrincipalDep, uploads: UploadsDep) -> UploadObject:
    """Begin a file that comes in parts; it must be complete within an hour."""
    return UploadObject.from_domain(uploads.create(caller, body))


@router.post("/{upload_id}/parts", openapi_extra=_PART_FORM)
async def add_upload_part(
    upload_id: str, request: Request, caller: PrincipalDep, uploads: UploadsDep
) -> UploadPartObject:
    """Store a part of at most 64 MB; parts may come in any order and at once."""
    part = await uploads.add_part(caller, upload_id, request.headers, request.stream())
    return UploadPartObject.from_domain(part)


@router.post("/{upload_id}/complete")
def complete_upload(
    upload_id: str,
    body: CompleteUpload,
    caller: PrincipalDep,
    uploads: UploadsDep,
    is_repeated: RepeatedDep,
    resources: ResourcesDep,
) -> UploadObject:
    """Make a file of the parts, in the order given."""
    upload, file = uploads.complete(caller, upload_id, body, is_repeated=is_repeated)
    resources.ringer.wish()  # the file's report is due
    return UploadObject.from_domain(upload, file)


@router.post("/{upload_id}/cancel")
def cancel_upload(
    upload_id: str, caller: PrincipalDep, uploads: UploadsDep, is_repeated: RepeatedDep
) -> UploadObject:
    """Give up an upload; its parts are deleted."""
    return UploadObject.from_domain(uploads.cancel(caller, upload_id, is_repeated=is_repeated))
