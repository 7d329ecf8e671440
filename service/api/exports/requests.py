"""Wire shape of a request to export."""

from typing import Literal

from service.api.wire import RequestBody


class CreateExport(RequestBody):
    """A tuned model as a file."""

    format: Literal["peft", "merged", "gguf"]
