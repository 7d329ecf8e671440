"""As much of an api as a training asks of it: a reward model whose score is an answer's length."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Scorer:
    """`status` other than 200 is what it answers with from then on."""

    url: str = ""
    status: int = 200
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Bodies."""


@contextmanager
def running_scorer() -> Iterator[Scorer]:
    """On a free loopback port."""
    scorer = Scorer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            scorer.asked.append(body)
            data = [
                {"index": index, "score": float(len(messages[-1]["content"]))}
                for index, messages in enumerate(body["input"])
            ]
            content = json.dumps({"data": data}).encode()
            self.send_response(scorer.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scorer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="scorer")
    thread.start()
    try:
        yield scorer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
