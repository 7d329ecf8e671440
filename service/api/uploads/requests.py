"""Wire shapes of requests about uploads."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.files.form_fields import LONGEST_LIFE_SECONDS, SHORTEST_LIFE_SECONDS
from service.api.wire import RequestBody

MAX_PARTS = 10_000

Purpose = Literal["assistants", "batch", "evals", "fine-tune", "user_data", "vision"]


class ExpiresAfter(RequestBody):
    """When a file is deleted by itself."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=SHORTEST_LIFE_SECONDS, le=LONGEST_LIFE_SECONDS)]


class CreateUpload(RequestBody):
    """A file to come."""

    filename: Annotated[str, Field(min_length=1, max_length=255)]
    purpose: Purpose
    bytes: Annotated[int, Field(ge=1)]
    mime_type: Annotated[str, Field(pattern=r"^[\w.+-]+/[\w.+-]+(;.*)?$", max_length=255)]
    """Must look like one; what a file is, its content says."""
    expires_after: ExpiresAfter | None = None


class CompleteUpload(RequestBody):
    """All parts are there."""

    part_ids: Annotated[list[str], Field(min_length=1, max_length=MAX_PARTS)]
    """In the order of the content."""
    md5: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")] | None = None
