"""From a Send step to the arguments with which httpx2 builds the request."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tunery._config import ClientConfig
from tunery._flow import Send
from tunery._uploads import CountingReader


@contextmanager
def request_arguments(send: Send, config: ClientConfig) -> Iterator[dict[str, Any]]:
    """Arguments of `build_request`; an uploaded file is open inside the block."""
    call = send.call
    arguments: dict[str, Any] = {
        "method": call.method,
        "url": config.url(call.path),
        "headers": send.headers,
        "params": dict(call.query) or None,
    }
    if call.upload is None:
        yield {**arguments, "json": call.body}
        return
    with call.upload.open() as content:
        report = call.upload.on_progress
        body = CountingReader(content, report) if report else content
        files = {call.upload.field: (call.upload.filename, body, "application/octet-stream")}
        fields = {} if call.upload.purpose is None else {"purpose": call.upload.purpose}
        yield {**arguments, "data": fields, "files": files}
