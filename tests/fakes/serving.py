"""Serve an EngineCore over real HTTP on a free loopback port, inside the test process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from service.engine.interface import EngineCore
from service.engine.server import create_engine_app, engine_uvicorn_config
from tests.fakes.engine import FakeEngine

INTERNAL_TOKEN = "internal-test-token"


@dataclass(frozen=True)
class ServedEngine:
    """Where it answers, and a way to take it off the network."""

    url: str
    token: str
    _server: uvicorn.Server

    def drop(self) -> None:
        """Close the port and every connection, as a killed process would."""
        self._server.force_exit = True
        self._server.should_exit = True


@contextmanager
def serve_engine(core: EngineCore, *, token: str = INTERNAL_TOKEN) -> Iterator[ServedEngine]:
    """The core's life is the caller's; the server ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        app = create_engine_app(core, internal_token=token)
        server = uvicorn.Server(engine_uvicorn_config(app, host="127.0.0.1", port=port))
        thread = threading.Thread(target=server.run, args=([listener],), name="engine-server")
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield ServedEngine(f"http://127.0.0.1:{port}", token, server)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def served_fake(engine: FakeEngine) -> Iterator[ServedEngine]:
    """A running fake engine that knows its own address."""
    with engine, serve_engine(engine) as served:
        id, _, pool = engine.identity
        engine.identity = (id, served.url, pool)
        yield served


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + 10
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the engine's server did not start")
        time.sleep(0.005)
