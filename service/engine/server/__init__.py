"""The engine's front: HTTP for training, one WebSocket per api process for serving. No torch."""

from service.engine.server.app import create_engine_app
from service.engine.server.uvicorn_config import engine_uvicorn_config

__all__ = ["create_engine_app", "engine_uvicorn_config"]
