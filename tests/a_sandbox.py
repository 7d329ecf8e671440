"""A fixture for tests that need the sandbox, which not every machine permits."""

import asyncio

import pytest

from service.core.sandbox.running import Sandbox, SandboxBroken

HARMLESS = "def grade(sample, item):\n    return 1\n"


@pytest.fixture(scope="session")
def sandbox() -> None:
    """Skips where none can be made; what then happens is tested apart."""
    try:
        asyncio.run(Sandbox().load(HARMLESS))
    except SandboxBroken as broken:
        pytest.skip(f"this machine permits no sandbox: {broken}")
