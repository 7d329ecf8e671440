"""A sandbox, where the machine permits one."""

import asyncio

import pytest

from service.core.sandbox.running import Limits, Sandbox, SandboxBroken

HARMLESS = "def grade(sample, item):\n    return 1\n"


@pytest.fixture(scope="session")
def _sandbox_is_permitted() -> None:
    try:
        asyncio.run(Sandbox().load(HARMLESS))
    except SandboxBroken as broken:
        pytest.skip(f"this machine permits no sandbox: {broken}")


@pytest.fixture
def limits(_sandbox_is_permitted: None) -> Limits:
    return Limits(seconds=20, memory_bytes=256 * 1024**2)
