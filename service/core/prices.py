"""The operator's price table."""

import math
from collections.abc import Mapping

_ANY = "*"
_TUNINGS = frozenset({"lora", "full", "partial", "head", _ANY})
PriceTable = Mapping[tuple[str, str], float]


def parse_prices(text: str) -> dict[tuple[str, str], float]:
    """`BASE/TUNING=AMOUNT,…` as (base, tuning) → price of a million tokens. Raises ValueError."""
    table = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        place, _, amount = entry.partition("=")
        base, _, tuning = place.rpartition("/")
        if not base or tuning not in _TUNINGS:
            raise ValueError(
                f"{entry!r} must be BASE/TUNING=AMOUNT, with '*' or one of lora, full, partial and "
                "head as TUNING"
            )
        table[base, tuning] = _amount(amount, entry)
    return table


def find_price(table: PriceTable, *, base: str, tuning: str) -> float | None:
    """The most exact entry: both names, then the base, then the tuning, then any."""
    for place in ((base, tuning), (base, _ANY), (_ANY, tuning), (_ANY, _ANY)):
        if place in table:
            return table[place]
    return None


def _amount(text: str, entry: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 <= amount < math.inf:
        raise ValueError(f"the amount of {entry!r} must be a number of at least 0")
    return amount
