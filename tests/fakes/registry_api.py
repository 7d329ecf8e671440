"""An api that only keeps the register of engines, over real HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from service.core.engine_protocol import EngineState


@dataclass(frozen=True)
class RecordedCall:
    method: str
    path: str
    authorization: str | None
    state: EngineState | None


@dataclass
class RegistryApi:
    """What engines have told; `status` is what they are answered."""

    url: str = ""
    status: int = 200
    calls: list[RecordedCall] = field(default_factory=list)

    @property
    def methods(self) -> list[str]:
        return [call.method for call in self.calls]


@contextmanager
def running_registry(*, port: int = 0) -> Iterator[RegistryApi]:
    """Answers until the block ends; on the same port again, it is an api that came back."""
    api = RegistryApi()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            self._record(EngineState.model_validate_json(content))

        def do_DELETE(self) -> None:
            self._record(None)

        def _record(self, state: EngineState | None) -> None:
            token = self.headers["Authorization"]
            api.calls.append(RecordedCall(self.command, self.path, token, state))
            self.send_response(api.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
