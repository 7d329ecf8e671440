from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from tests.clients.python.replies import answer
from tunery._retries import is_worth_repeating, pause_seconds

LOST = httpx2.ConnectError("refused")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_what_may_pass_is_repeated(status: int) -> None:
    assert is_worth_repeating(answer({}, status))


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_what_will_stay_wrong_is_not_repeated(status: int) -> None:
    assert not is_worth_repeating(answer({}, status))


def test_a_lost_connection_is_worth_another_attempt() -> None:
    assert is_worth_repeating(LOST)


def test_the_word_of_the_server_on_repeating_comes_first() -> None:
    assert not is_worth_repeating(answer({}, 409, x_should_retry="false"))
    assert is_worth_repeating(answer({}, 400, x_should_retry="true"))


def test_a_server_that_wants_more_than_two_minutes_is_not_asked_again() -> None:
    assert not is_worth_repeating(answer({}, 429, retry_after="121", x_should_retry="true"))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "3"}, 3.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "250", "retry_after": "9"}, 0.25),
    ],
)
def test_the_pause_is_the_one_the_server_asks_for(headers: dict[str, str], seconds: float) -> None:
    assert pause_seconds(0, answer({}, 429, **headers)) == seconds


def test_a_date_is_understood_as_the_end_of_the_pause() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert 50 < pause_seconds(0, answer({}, 503, retry_after=until)) <= 60


@pytest.mark.parametrize("asked", ["-1", "0", "soon", "nan"])
def test_an_unusable_wish_gives_the_usual_pause(asked: str) -> None:
    assert 0.375 <= pause_seconds(0, answer({}, 503, retry_after=asked)) <= 0.5


def test_pauses_double_up_to_eight_seconds() -> None:
    for retry, longest in enumerate([0.5, 1, 2, 4, 8, 8, 8]):
        assert longest * 0.75 <= pause_seconds(retry, LOST) <= longest
    assert pause_seconds(10_000, LOST) <= 8
