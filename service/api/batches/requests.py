"""Wire shape of a batch request."""

from typing import Annotated, Literal

from pydantic import Field

from service.api.uploads.requests import ExpiresAfter
from service.api.wire import Metadata, RequestBody


class CreateBatch(RequestBody):
    """A file of requests to one endpoint."""

    input_file_id: Annotated[str, Field(min_length=1, max_length=64)]
    endpoint: Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
    completion_window: Literal["24h"]
    metadata: Metadata | None = None
    output_expires_after: ExpiresAfter | None = None
