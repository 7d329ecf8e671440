"""What time and memory are functions of: one linear law for each thing that an engine does.

A law's value is the sum of its features times its coefficients. The laws are linear, so that a
job's time is the law of its summed features, however many passes there are. Features are scaled to
be about 1 for a full micro-batch of a small base.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LawName = Literal[
    "lora", "overlay", "head", "measure", "optimizer", "save", "sample", "session", "memory"
]
"""lora, overlay, head: a pass with gradients, by what is trained. measure: a pass without. session:
what a session waits for beside all that, above all for its last save to be stored. memory: bytes
beyond the idle engine's; all others are seconds."""

Features = tuple[float, ...]


@dataclass(frozen=True)
class PassSize:
    """What is computed together."""

    tokens: int
    """Computed: a shared beginning counts once."""
    scored: int = 0
    """Positions whose next token is predicted: each is a product with the whole vocabulary."""
    squares: int = 0
    """Sum of the rows' squared lengths, which attention takes time for."""
    rows: int = 1

    @classmethod
    def of(cls, lengths: Sequence[int], scored: int, *, tokens: int | None = None) -> "PassSize":
        """`tokens`: computed ones, where rows share some."""
        computed = sum(lengths) if tokens is None else tokens
        return cls(computed, scored, sum(n * n for n in lengths), len(lengths))


@dataclass(frozen=True)
class Trained:
    """What a session trains."""

    law: Literal["lora", "overlay", "head"]
    parameters: int
    depth: float = 1.0
    """Share of the layers that a gradient goes back through."""


def pass_features(size: PassSize, trained: Trained, *, fresh_tokens: int = 0) -> Features:
    """Of a pass with gradients. Of a head alone only `fresh_tokens` go through the base: those of
    rows that it has not seen before."""
    if trained.law == "head":
        return (1.0, size.rows / 10, fresh_tokens / 1e3)
    parameters = size.tokens * trained.parameters / 1e10
    common = (1.0, size.tokens / 1e3, parameters, size.scored / 1e3, size.squares / 1e6)
    return common if trained.law == "lora" else (*common, size.tokens * trained.depth / 1e3)


def measure_features(size: PassSize) -> Features:
    return (1.0, size.tokens / 1e3, size.scored / 1e3, size.squares / 1e6)


def optimizer_features(parameters: int) -> Features:
    return (1.0, parameters / 1e8)


save_features = optimizer_features


def sample_features(*, steps: int, answer_tokens: int, prompt_tokens: int) -> Features:
    """`steps` of one token each, which all answers that are drawn together take."""
    return (1.0, steps / 1e2, answer_tokens / 1e3, prompt_tokens / 1e3)


def session_features(steps: int, parameters: int) -> Features:
    return (1.0, steps / 1e2, parameters / 1e8)


def memory_features(
    trained_bytes: int, activation_bytes: int, *, stored_bytes: int = 0
) -> Features:
    """What shapes say, so that all coefficients are correction factors near 1."""
    return (float(trained_bytes), float(activation_bytes), float(stored_bytes))


PRIORS: dict[LawName, Features] = {
    "memory": (1.0, 1.0, 1.0),
    "save": (0.01, 0.5),
    "session": (1.0, 0.5, 2.0),
}
"""Where a fit begins, and stays as long as nothing speaks against it."""
