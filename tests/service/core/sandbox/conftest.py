"""A sandbox, where the machine permits one."""

import pytest

from service.core.sandbox.running import Limits
from tests.a_sandbox import sandbox

__all__ = ["sandbox"]


@pytest.fixture
def limits(sandbox: None) -> Limits:
    return Limits(seconds=20, memory_bytes=256 * 1024**2)
