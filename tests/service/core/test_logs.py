"""Every line says which process wrote it."""

import logging
import threading
from collections.abc import Iterator

import pytest

from service.core.logs import configure_logging
from service.core.settings import Settings


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """As it was before, afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root_logger")
def test_lines_of_other_threads_name_the_component(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Settings(), "engine")

    thread = threading.Thread(target=logging.getLogger("test").info, args=("from a thread",))
    thread.start()
    thread.join()

    assert "component=engine" in capsys.readouterr().err
