"""A signal ends a process that has begun nothing, and asks one that has."""

import os
import signal

import pytest

from service.core.errors import EngineUnavailable
from service.engine.stopping import StopRequests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_before_defer_a_signal_ends_with_exit_code_zero(number: signal.Signals) -> None:
    with pytest.raises(SystemExit) as caught, StopRequests():
        os.kill(os.getpid(), number)

    assert caught.value.code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_after_defer_a_signal_is_an_orderly_request(number: signal.Signals) -> None:
    with StopRequests() as stops:
        stops.defer()
        os.kill(os.getpid(), number)

        assert stops.wait() is None


def test_a_failure_is_handed_to_who_waits() -> None:
    failure = EngineUnavailable("the step loop failed")
    with StopRequests() as stops:
        stops.request(failure)

        assert stops.wait() is failure


def test_former_handlers_come_back() -> None:
    former = signal.getsignal(signal.SIGTERM)

    with StopRequests():
        assert signal.getsignal(signal.SIGTERM) != former

    assert signal.getsignal(signal.SIGTERM) == former
