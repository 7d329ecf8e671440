"""Tries of a delivery: ten, over three days and a half; a receiver may ask for more time."""

from service.core.webhooks.schedule import pause_after

MINUTE, HOUR = 60, 3600


def test_pauses_grow_and_end_after_ten_tries() -> None:
    pauses = [pause_after(tries, retry_after_seconds=0) for tries in range(1, 11)]

    assert pauses == [
        *(5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR),
        *(24 * HOUR, None),
    ]


def test_the_receiver_can_put_a_try_off_but_not_bring_it_forward_nor_for_ever() -> None:
    assert pause_after(2, retry_after_seconds=3600) == HOUR
    assert pause_after(2, retry_after_seconds=1) == 5 * MINUTE
    assert pause_after(2, retry_after_seconds=float("inf")) == 24 * HOUR
