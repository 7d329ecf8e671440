"""Keys and values of every open stream of one base, in blocks of a few tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

NULL_BLOCK = 0
"""Never given to a stream and always zero: padding in block tables points to it."""


@dataclass(frozen=True)
class LayerShape:
    """What one attention layer keeps of a token."""

    heads: int
    key_size: int
    value_size: int


class KvCache:
    """Fixed memory, bought at once; on a CPU the system commits a block when it is first used.

    A block is cleared when it is given out: a masked place still takes part in the products, and
    what a former stream left there may be NaN.
    """

    def __init__(
        self,
        layers: Mapping[int, LayerShape],
        *,
        tokens: int,
        block_tokens: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.block_tokens = block_tokens
        self.device = device
        self.blocks = tokens // block_tokens
        """Blocks that streams can have between them."""
        self._free = list(range(self.blocks, NULL_BLOCK, -1))

        def allocate(heads: int, size: int) -> torch.Tensor:
            shape = (self.blocks + 1, block_tokens, heads, size)
            return torch.empty(shape, dtype=dtype, device=device)

        self._keys = {i: allocate(shape.heads, shape.key_size) for i, shape in layers.items()}
        self._values = {i: allocate(shape.heads, shape.value_size) for i, shape in layers.items()}
        self._clear([NULL_BLOCK])

    @property
    def free_blocks(self) -> int:
        return len(self._free)

    def blocks_for(self, tokens: int) -> int:
        return -(-tokens // self.block_tokens)

    def take(self, count: int) -> list[int]:
        """That many cleared blocks; the caller has seen that they are free."""
        taken = [self._free.pop() for _ in range(count)]
        if taken:
            self._clear(taken)
        return taken

    def give_back(self, blocks: Sequence[int]) -> None:
        self._free.extend(reversed(blocks))

    def write(
        self, layer: int, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Store (tokens, heads, size) at `places`, block * block_tokens + offset each."""
        self._keys[layer].flatten(0, 1).index_copy_(0, places, keys)
        self._values[layer].flatten(0, 1).index_copy_(0, places, values)

    def read(self, layer: int, table: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of a (streams, blocks) table: (streams, positions, heads, size) each."""
        return _gather(self._keys[layer], table), _gather(self._values[layer], table)

    def _clear(self, blocks: list[int]) -> None:
        index = torch.tensor(blocks, device=self.device)
        for stored in (*self._keys.values(), *self._values.values()):
            stored.index_fill_(0, index, 0)


def _gather(stored: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    found = stored.index_select(0, table.flatten())
    return found.view(table.shape[0], -1, *stored.shape[2:])
