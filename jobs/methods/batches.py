"""Units in training order: a pure function of seed and epoch, so that any attempt sees the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobs.methods.examples import Example, Unit
from service.core.batching import epoch_order


@dataclass(frozen=True)
class Batch:
    """The examples of one optimizer step."""

    step: int
    """1-based over the whole job."""
    epoch: int
    """1-based."""
    examples: Sequence[Example]
    last_of_epoch: bool


def batches(units: Sequence[Unit], *, batch_size: int, n_epochs: int, seed: int) -> Iterator[Batch]:
    """Every unit once an epoch, shuffled anew each epoch; the last batch of one may be short."""
    step = 0
    for epoch in range(1, n_epochs + 1):
        order = epoch_order(len(units), seed=seed, epoch=epoch)
        for start in range(0, len(order), batch_size):
            step += 1
            chosen = [e for i in order[start : start + batch_size] for e in units[i]]
            yield Batch(step, epoch, chosen, last_of_epoch=start + batch_size >= len(order))
