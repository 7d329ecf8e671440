"""A number with the bounds that it keeps."""

from dataclasses import dataclass

LEAST, MOST = 0.10, 0.30
"""Bounds of what was measured, as shares of the value: no measurement is better than the first, and
none that is worse than the second is worth a promise."""


@dataclass(frozen=True)
class Bounded:
    """Low ≤ value ≤ high."""

    value: float
    low: float
    high: float

    @classmethod
    def exact(cls, value: float) -> "Bounded":
        return cls(value, value, value)

    @classmethod
    def within(cls, value: float, share: float) -> "Bounded":
        return cls(value, value * (1 - share), value * (1 + share))

    @classmethod
    def measured(cls, value: float, spread: float) -> "Bounded":
        """Of a spread between and beyond the narrowest and the widest bound."""
        return cls.within(value, max(LEAST, min(MOST, spread)))

    def times(self, factor: float) -> "Bounded":
        return Bounded(self.value * factor, self.low * factor, self.high * factor)
