"""The real api, with a worker that finishes jobs at once."""

from tests.api_fixtures import api, engine, tenant, text_codec
from tests.clients.python.migration.mover import workplace

__all__ = ["api", "engine", "tenant", "text_codec", "workplace"]
