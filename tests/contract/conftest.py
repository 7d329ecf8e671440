"""The api under test."""

from tests.a_sandbox import sandbox
from tests.api_fixtures import api, engine, http, sdk, tenant, text_codec

__all__ = ["api", "engine", "http", "sandbox", "sdk", "tenant", "text_codec"]
