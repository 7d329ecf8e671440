"""How rows become batches and passes: pure functions of sizes and seeds, so that whoever trains and
whoever estimates sees the same."""

import hashlib
import random
from collections.abc import Sequence

from service.core.shared_beginnings import Tokens, packed_tokens


def derived_seed(purpose: str, *numbers: int) -> int:
    """64 bits that depend on all that is given and on nothing else."""
    text = ":".join([purpose, *map(str, numbers)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def epoch_order(count: int, *, seed: int, epoch: int) -> list[int]:
    """0 to count − 1 in the order of a 1-based epoch."""
    return _shuffled(count, derived_seed("shuffle", seed, epoch))


def pack_sizes(sizes: Sequence[int], *, limit: int, seed: int) -> list[list[int]]:
    """Places in an order of their own, as many in each unit as have together at most `limit`.

    Next fit: a unit is closed by the first that is too long for it.
    """
    return _fill(_shuffled(len(sizes), derived_seed("pack", seed)), sizes, limit)


def choose_replayed(sizes: Sequence[int], *, own: int, ratio: float, seed: int) -> list[int]:
    """Places drawn by the seed until they make up their share of all tokens, or are used up."""
    missing = own * ratio / (1 - ratio)
    chosen = []
    for place in _shuffled(len(sizes), derived_seed("replay", seed)):
        if missing <= 0:
            break
        missing -= sizes[place]
        chosen.append(place)
    return chosen


def cut_groups(groups: Sequence[Sequence[Tokens]], *, limit: int, share: bool) -> list[list[int]]:
    """Places of groups of rows that are computed together, in order, filled up to `limit` computed
    tokens; a group longer than that is alone. `share`: what rows begin with in common is computed
    once."""
    batches: list[list[int]] = []
    for place, group in enumerate(groups):
        if batches:
            rows = [row for member in batches[-1] for row in groups[member]]
            if packed_tokens([*rows, *group], share=share) <= limit:
                batches[-1].append(place)
                continue
        batches.append([place])
    return batches


def _fill(order: Sequence[int], sizes: Sequence[int], limit: int) -> list[list[int]]:
    units: list[list[int]] = []
    room = 0
    for place in order:
        if not units or sizes[place] > room:
            units.append([])
            room = limit
        units[-1].append(place)
        room -= sizes[place]
    return units


def _shuffled(count: int, seed: int) -> list[int]:
    order = list(range(count))
    random.Random(seed).shuffle(order)
    return order
