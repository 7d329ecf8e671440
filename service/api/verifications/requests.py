"""Wire shape of a request to verify a job."""

from typing import Annotated, Any

from pydantic import Field

from service.api.wire import RequestBody


class CreateVerification(RequestBody):
    """How much is replayed, and what is held against it."""

    steps: Annotated[int, Field(ge=1, le=1000)] = 10
    """Of the job's first, at most all of them."""
    receipt: dict[str, Any] | None = None
    """A receipt that somebody has kept; the stored one if absent."""
