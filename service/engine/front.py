"""The engine's server, in a thread of its own: the main thread decides the order of the end."""

import socket
import threading
import time
from collections.abc import Callable

import uvicorn

from service.core.errors import ConfigurationError, ServiceError
from service.core.settings import Settings
from service.engine.interface import EngineCore
from service.engine.server import create_engine_app, engine_uvicorn_config

_START_SECONDS = 30.0
_POLL_SECONDS = 0.005


def bind_front(settings: Settings) -> socket.socket:
    """Take the port without listening: a taken one is found before anything is loaded, and
    clients are refused until there is something to answer them.

    Raises ConfigurationError naming the port.
    """
    host, port = settings.engine_host, settings.engine_port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"the engine cannot listen on {host}:{port} ({error.strerror}); "
            "set TUNERY_ENGINE_PORT to a free port"
        ) from error
    return listener


class EngineFront:
    """HTTP and WebSocket over an EngineCore."""

    def __init__(
        self,
        core: EngineCore,
        listener: socket.socket,
        settings: Settings,
        *,
        on_failure: Callable[[ServiceError], None],
    ) -> None:
        """`on_failure` is told when the server ends without having been asked to.

        Raises ConfigurationError without an internal token.
        """
        app = create_engine_app(core, internal_token=settings.internal_token.get_secret_value())
        self._host, self._port = listener.getsockname()[:2]
        self._server = uvicorn.Server(engine_uvicorn_config(app, host=self._host, port=self._port))
        self._listener = listener
        self._on_failure = on_failure
        self._asked_to_end = False
        self._thread = threading.Thread(target=self._run, name="engine-front")

    @property
    def url(self) -> str:
        """Where it listens; not always the address under which others reach it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def start(self) -> None:
        """Return once it answers, or has failed."""
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not self._server.started and self._thread.is_alive():
            if time.monotonic() > deadline:
                self._on_failure(ServiceError(f"the engine's server did not start on {self.url}"))
                return
            time.sleep(_POLL_SECONDS)

    def stop_accepting(self) -> None:
        """Close the port; open calls get five seconds."""
        self._asked_to_end = True
        self._server.should_exit = True

    def wait_closed(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            if not self._asked_to_end:
                self._on_failure(ServiceError(f"the engine's server on {self.url} ended"))
