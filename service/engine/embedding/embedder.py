"""One embedding model and its pass: encoder, pooling, normalisation."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedModel

from service.core.engine_protocol import EmbedderState
from service.engine.parts import LoadedBase

_ROWS_A_PASS = 32


@dataclass(frozen=True)
class LoadedEmbedder:
    """An encoder on its device, in eval mode and fp32."""

    state: EmbedderState
    device: torch.device
    model: PreTrainedModel
    pools_mean: bool
    """Over all tokens; else the first token's vector stands for the row."""
    normalizes: bool

    @property
    def vocabulary(self) -> int:
        return int(self.model.config.vocab_size)

    def as_base(self) -> LoadedBase:
        """In the place of a base, for heads on its vectors."""
        return LoadedBase(
            name=self.state.name,
            digest=self.state.digest,
            text_key=self.state.text_key,
            dtype=torch.float32,
            device=self.device,
            context_length=self.state.context_length,
            model=self.model,
        )

    def features(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """(rows, dimensions) on its device, in passes of some rows."""
        parts = [rows[at : at + _ROWS_A_PASS] for at in range(0, len(rows), _ROWS_A_PASS)]
        return torch.cat([self.embed(part) for part in parts]).to(self.device)

    @torch.inference_mode()
    def embed(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """(rows, dimensions), on the CPU."""
        width = max(map(len, rows))
        tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        tokens, mask = tokens.to(self.device), mask.to(self.device)
        hidden = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        pooled = _mean(hidden, mask) if self.pools_mean else hidden[:, 0]
        return (nn.functional.normalize(pooled, dim=1) if self.normalizes else pooled).cpu()


def _mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)
