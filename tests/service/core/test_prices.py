"""The operator's price table."""

import pytest

from service.core.errors import ConfigurationError
from service.core.prices import find_price, parse_prices
from service.core.settings import Settings


def test_the_most_exact_entry_counts() -> None:
    table = parse_prices("a/lora=0.5, a/*=1, */full=2, */*=3")

    found = [
        find_price(table, base=base, tuning=tuning)
        for base, tuning in (("a", "lora"), ("a", "full"), ("b", "full"), ("b", "head"))
    ]

    assert found == [0.5, 1, 2, 3]
    assert find_price(parse_prices("a/lora=1"), base="b", tuning="lora") is None


@pytest.mark.parametrize("text", ["a=1", "a/rank=1", "a/lora", "a/lora=-1", "a/lora=nan"])
def test_what_is_no_price_keeps_the_server_from_starting(text: str) -> None:
    with pytest.raises(ConfigurationError, match="TUNERY_PRICES"):
        Settings.from_environment({"prices": text})
