"""When a delivery is tried again."""

_PAUSES = tuple(
    float(seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
)
"""After the first, second, … try: 5 s, 5 and 30 min, 2, 5, 10, 14, 20 and 24 h."""
_LONGEST_PAUSE_SECONDS = 86_400.0


def pause_after(tries: int, *, retry_after_seconds: float) -> float | None:
    """Seconds until the next try, which the receiver may put off by up to a day; None when
    `tries` were enough."""
    if tries > len(_PAUSES):
        return None
    return max(_PAUSES[tries - 1], min(retry_after_seconds, _LONGEST_PAUSE_SECONDS))
