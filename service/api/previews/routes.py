"""/v1/fine_tuning/preview"""

from typing import Annotated

from fastapi import APIRouter, Depends

from service.api.dependencies import PrincipalDep, ResourcesDep
from service.api.previews.schemas import CreatePreview, Preview
from service.api.previews.service import PreviewService

router = APIRouter(tags=["fine-tuning"])


async def _service(resources: ResourcesDep) -> PreviewService:
    return PreviewService(resources.database, resources.store, resources.codecs)


PreviewsDep = Annotated[PreviewService, Depends(_service)]


@router.post("/v1/fine_tuning/preview")
def preview_rows(body: CreatePreview, caller: PrincipalDep, previews: PreviewsDep) -> Preview:
    """Show rows as a job would train on them: tokens, which of them are trained, what is cut."""
    return previews.preview(caller, body)
