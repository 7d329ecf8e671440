"""The same tiny base as the adapter store's tests."""

from tests.service.engine.adapters.conftest import tiny_base

__all__ = ["tiny_base"]
