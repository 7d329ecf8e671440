"""How the front is served; the tests' fake engine is served the same way."""

import uvicorn
from fastapi import FastAPI

_MAX_FRAME_BYTES = 4 * 1024**2


def engine_uvicorn_config(app: FastAPI, *, host: str, port: int) -> uvicorn.Config:
    """One process: the step loop lives in this process and owns the device."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        ws_max_size=_MAX_FRAME_BYTES,
        ws_per_message_deflate=False,  # small frames on a near network: only latency to lose
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )
