"""The organisation over real HTTP, read-only but for chat."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.openai_source.organization import Organization

SOURCE_KEY = "sk-source"
REFUSED = "forbidden"
"""A prompt with this word is refused."""
_PAGE = 2


@dataclass
class RunningSource:
    """Knobs, and what came in."""

    url: str
    organization: Organization
    limit_every: int = 0
    """Every so-manieth request is answered 429 with `Retry-After`; 0 is never."""
    drop_every: int = 0
    """Every so-manieth request is dropped without an answer."""
    broken_downloads: int = 0
    """So many downloads break off in the middle."""
    takes_ranges: bool = True
    tunes_are_gone: bool = False
    calls: list[tuple[str, str]] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Last messages of the prompts that were answered."""


def answer_of(model: str, prompt: str) -> str:
    """What the old models say."""
    return f"{model[-6:]} says {prompt[:20]}"


@contextmanager
def running_source(organization: Organization, **knobs: Any) -> Iterator[RunningSource]:
    """Answers until the block ends."""
    source = RunningSource("", organization, **knobs)
    numbers = count(1)

    class Handler(_Handler):
        pass

    Handler.source, Handler.numbers = source, numbers
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        source.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield source
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    source: RunningSource
    numbers: "count[int]"

    def do_GET(self) -> None:
        if self._admit():
            self._get(self._path(), dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._admit():
            self._chat(json.loads(body))

    def _path(self) -> list[str]:
        return unquote(urlsplit(self.path).path).removeprefix("/v1/").split("/")

    def _admit(self) -> bool:
        """Whether the request is answered at all."""
        number = next(self.numbers)
        self.source.calls.append((self.command, urlsplit(self.path).path))
        if self.headers["Authorization"] != f"Bearer {SOURCE_KEY}":
            self._refuse(401, "Incorrect API key.", "invalid_api_key")
        elif self.source.limit_every and number % self.source.limit_every == 0:
            self._refuse(429, "Slow down.", "rate_limit_exceeded", retry_after="0.01")
        elif self.source.drop_every and number % self.source.drop_every == 0:
            self.close_connection = True
        else:
            return True
        return False

    def _get(self, path: list[str], query: dict[str, str]) -> None:
        organization = self.source.organization
        match path:
            case ["fine_tuning", "jobs"]:
                self._page(organization.jobs[::-1], query)
            case ["fine_tuning", "jobs", job_id, "checkpoints"]:
                names = organization.checkpoints.get(job_id, [])
                self._page([_checkpoint(job_id, n, name) for n, name in enumerate(names)], query)
            case ["files"]:
                self._page([_file(id, *f) for id, f in organization.files.items()][::-1], query)
            case ["files", file_id, "content"] if file_id in organization.files:
                self._content(organization.files[file_id][1])
            case ["webhook_endpoints"]:
                self._page([{"id": f"we_{u}", "url": u} for u in organization.webhooks], query)
            case _:
                self._refuse(404, f"No such thing: {'/'.join(path)}", "not_found")

    def _page(self, items: list[dict[str, Any]], query: dict[str, str]) -> None:
        ids = [item["id"] for item in items]
        start = ids.index(query["after"]) + 1 if "after" in query else 0
        data = items[start : start + _PAGE]
        has_more = start + _PAGE < len(items)
        self._answer({"object": "list", "data": data, "has_more": has_more})

    def _content(self, content: bytes) -> None:
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if asked:
            self.source.ranges.append(asked)
        if not self.source.takes_ranges:
            start = 0
        if start:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        rest = content[start:]
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.source.broken_downloads:
            self.source.broken_downloads -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.close_connection = True
        else:
            self.wfile.write(rest)

    def _chat(self, request: dict[str, Any]) -> None:
        prompt, model = request["messages"][-1]["content"], request["model"]
        models = {job["fine_tuned_model"] for job in self.source.organization.jobs}
        if self.source.tunes_are_gone or model not in models:
            self._refuse(404, f"The model {model} does not exist.", "model_not_found")
        elif REFUSED in prompt:
            self._refuse(400, "That is forbidden.", "content_policy")
        else:
            self.source.asked.append(prompt)
            message = {"role": "assistant", "content": answer_of(model, prompt), "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            self._answer(
                {
                    "id": "chatcmpl-1",
                    "object": "chat.completion",
                    "created": 1,
                    "model": model,
                    "choices": [choice],
                }
            )

    def _refuse(self, status: int, message: str, code: str, retry_after: str = "") -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        self._answer({"error": error}, status, retry_after)

    def _answer(self, body: object, status: int = 200, retry_after: str = "") -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


def _file(id: str, filename: str, content: bytes) -> dict[str, Any]:
    return {
        "id": id,
        "object": "file",
        "bytes": len(content),
        "created_at": 1_700_000_000,
        "filename": filename,
        "purpose": "fine-tune",
        "status": "processed",
        "status_details": None,
        "expires_at": None,
    }


def _checkpoint(job_id: str, number: int, name: str) -> dict[str, Any]:
    return {
        "id": f"ftckpt_{job_id}_{number}",
        "object": "fine_tuning.job.checkpoint",
        "created_at": 1_700_000_000,
        "fine_tuned_model_checkpoint": name,
        "fine_tuning_job_id": job_id,
        "step_number": number,
        "metrics": {},
    }
