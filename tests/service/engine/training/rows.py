"""Rows to train on."""

import random
from collections.abc import Sequence

from service.core.engine_protocol import TrainingRow


def make_rows(lengths: Sequence[int], *, seed: int = 0) -> list[TrainingRow]:
    """Random tokens; the first third carries no weight, the rest differing ones."""
    draw = random.Random(seed)
    return [
        TrainingRow(
            line=index + 1,
            group=index + 1,
            tokens=tuple(draw.randrange(3, 250) for _ in range(length)),
            weights=tuple(
                draw.choice((0.0, 0.5, 1.0, 1.0)) if i > length // 3 else 0.0 for i in range(length)
            ),
        )
        for index, length in enumerate(lengths)
    ]
