"""`create_engine_app`: an EngineCore behind HTTP and WebSocket."""

from fastapi import FastAPI

from service.core.errors import ConfigurationError
from service.engine.interface import EngineCore
from service.engine.server import (
    artefacts,
    classification,
    embeddings,
    error_handlers,
    sessions,
    streams,
)
from service.engine.server.token_guard import TokenGuard


def create_engine_app(core: EngineCore, *, internal_token: str) -> FastAPI:
    """The app of one engine.

    Raises ConfigurationError for an empty token: the engine trains and answers for whoever asks.
    """
    if not internal_token:
        raise ConfigurationError("TUNERY_INTERNAL_TOKEN is empty; api, worker and engine share it")
    app = FastAPI(title="tunery engine", openapi_url=None)
    app.state.core = core
    error_handlers.install(app)
    app.include_router(sessions.router)
    app.include_router(streams.router)
    app.include_router(embeddings.router)
    app.include_router(artefacts.router)
    app.include_router(classification.router)
    app.add_middleware(TokenGuard, token=internal_token, open_paths=frozenset({"/healthz"}))
    return app
