"""The api process: checks the schema, sees to the default project, serves until told to stop."""

import logging
import signal
import socket

import uvicorn
from fastapi import FastAPI

from service.api.app import create_app
from service.core.database import Database, require_newest_schema
from service.core.errors import ConfigurationError
from service.core.logs import configure_logging
from service.core.repositories.access import AccessRepository
from service.core.security import hash_api_key
from service.core.settings import Settings

logger = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 65
"""Longer than clients keep idle connections, so that they rarely send into a closing one."""
_CLOSING_SECONDS = 2
"""Kept back from the drain for closing connections after the last stream."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; open streams then get `drain_seconds` to end.

    Raises ConfigurationError when the schema is behind or the port is taken.
    """
    configure_logging(settings, "api")
    prepare(settings)
    with _listen(settings) as listener:
        server = uvicorn.Server(api_uvicorn_config(create_app(settings), settings))
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises a signal again once it has drained; nothing more is to be done then
            signal.signal(number, lambda *_: None)
        logger.info("listening on %s", settings.api_url)
        server.run(sockets=[listener])


def prepare(settings: Settings) -> None:
    """Refuse an old schema; make sure of the default project and the bootstrap key."""
    database = Database(settings.database_url)
    try:
        require_newest_schema(database)
        with database.transaction() as connection:
            access = AccessRepository(connection)
            scope = access.ensure_default_project(settings.organization)
            if settings.api_key is not None:
                key = settings.api_key.get_secret_value()
                hashed = hash_api_key(key, settings)
                access.add_key(scope.project_id, name="bootstrap", hashed=hashed, last4=key[-4:])
    finally:
        database.dispose()


def api_uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """One event loop a process; more processes may share the database."""
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds) - _CLOSING_SECONDS),
    )


def _listen(settings: Settings) -> socket.socket:
    address = (settings.api_host, settings.api_port)
    family = socket.AF_INET6 if ":" in settings.api_host else socket.AF_INET
    try:
        return socket.create_server(address, family=family, backlog=2048)
    except OSError as error:
        raise ConfigurationError(
            f"The api cannot listen on {settings.api_host}:{settings.api_port} "
            f"({error.strerror}); choose another with TUNERY_API_HOST and TUNERY_API_PORT."
        ) from error
