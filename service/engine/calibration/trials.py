"""What an engine computes to measure itself: few passes of two sizes and more for each kind of
tuning."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from service.core.engine_protocol import (
    BradleyTerry,
    CrossEntropy,
    HeadSpec,
    HeadTuning,
    LoraTuning,
    Loss,
    OpenSession,
    OptimStep,
    PairExtras,
    PartialTuning,
    TrainingRow,
    Tuning,
)

_SEED = 1
_LINE = 1


@dataclass(frozen=True)
class Trial:
    """A session that nobody asked for."""

    tuning: Tuning
    head: HeadSpec | None = None
    measures: bool = False
    """Whether passes without gradients are measured, too."""
    shapes: Sequence[tuple[int, int, float]] = field(
        default=((1, 48, 1.0), (6, 64, 1.0), (1, 384, 0.25), (3, 128, 0.5))
    )
    """Rows, tokens of each, and the share of these that is trained: apart enough to tell what
    tokens, trained positions and long rows cost."""

    @property
    def loss(self) -> Loss:
        return CrossEntropy() if self.head is None else BradleyTerry()

    def request(self, base: str) -> OpenSession:
        return OpenSession(
            job="self-calibration",
            epoch=1,
            base=base,
            tuning=self.tuning,
            head=self.head,
            seed=_SEED,
            key_prefix="self-calibration/",
        )

    def batches(self, vocabulary: int, limit: int) -> Iterator[tuple[TrainingRow, ...]]:
        """Rows of random tokens."""
        for number, (rows, length, share) in enumerate(self.shapes):
            yield tuple(
                self._row(number, row, min(length, limit), share, vocabulary)
                for row in range(rows * (2 if self.head else 1))
            )

    def _row(self, shape: int, row: int, length: int, share: float, vocabulary: int) -> TrainingRow:
        random = torch.Generator().manual_seed(1000 * shape + row)
        tokens = torch.randint(vocabulary, (length,), generator=random).tolist()
        trained = 0 if self.head else round(share * (length - 1))
        return TrainingRow(
            line=_LINE + row,
            group=row // 2 if self.head else row,
            tokens=tuple(tokens),
            weights=tuple([0.0] * (length - trained) + [1.0] * trained),
            extras=PairExtras(is_chosen=row % 2 == 0) if self.head else None,
        )


def trials(layers: int) -> list[Trial]:
    """Of a base with so many layers; what trains all of it is told by what trains two shares."""
    overlays = [Trial(PartialTuning(last_n_layers=n)) for n in _depths(layers)]
    return [
        Trial(LoraTuning(rank=8, alpha=16), measures=True),
        Trial(LoraTuning(rank=64, alpha=128)),
        *overlays,
        Trial(HeadTuning(), HeadSpec(kind="reward"), shapes=((4, 32, 0), (8, 64, 0), (16, 16, 0))),
    ]


def _depths(layers: int) -> list[int]:
    """A single layer, and a quarter of them: each takes 20 bytes a weight."""
    return sorted({n for n in (1, layers // 4) if 0 < n <= layers})


OPTIM_STEP = OptimStep(seq=1, step=1, learning_rate=0.0)
