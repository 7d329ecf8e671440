"""A proxy between a client and the api that keeps every answer as it went over the wire."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2

_NOT_FORWARDED = ("host", "connection", "transfer-encoding", "content-encoding", "content-length")


@dataclass(frozen=True)
class Answered:
    """One exchange."""

    method: str
    path: str
    """As it was sent, without the query."""
    status: int
    media_type: str
    body: bytes


@dataclass
class Recording:
    """Where clients ask, and what they were answered."""

    url: str = ""
    answers: list[Answered] = field(default_factory=list)


@contextmanager
def recording_proxy(target: str) -> Iterator[Recording]:
    """In front of the server at `target`, on a free loopback port."""
    recording = Recording()
    http = httpx2.Client(base_url=target, timeout=60)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            content = self._read()
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in _NOT_FORWARDED
            }
            response = http.request(self.command, self.path, content=content, headers=headers)
            path, media_type = self.path.partition("?")[0], response.headers.get("content-type", "")
            recording.answers.append(
                Answered(self.command, path, response.status_code, media_type, response.content)
            )
            self.send_response(response.status_code)
            for name, value in response.headers.items():
                if name.lower() not in _NOT_FORWARDED:
                    self.send_header(name, value)
            self.send_header("content-length", str(len(response.content)))
            self.end_headers()
            self.wfile.write(response.content)

        def _read(self) -> bytes:
            if self.headers.get("transfer-encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        do_GET = do_POST = do_DELETE = _forward

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    recording.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="recorder")
    thread.start()
    try:
        yield recording
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        http.close()
