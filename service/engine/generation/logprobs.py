"""Log-probabilities as they are reported: of the model's own distribution, before any rule."""

from collections.abc import Sequence

import torch

from service.core.engine_protocol import TokenLogprob

_ROWS_AT_ONCE = 64
"""Of a prompt: each row is a whole vocabulary in fp32."""


def log_probabilities(logits: torch.Tensor) -> torch.Tensor:
    """(rows, vocabulary)"""
    return torch.log_softmax(logits, dim=-1)


def report(logprobs: torch.Tensor, tokens: Sequence[int], top: Sequence[int]) -> list[TokenLogprob]:
    """One entry a row of (rows, vocabulary): of its token, and of its `top` likeliest."""
    chosen = logprobs.gather(1, torch.tensor(tokens, device=logprobs.device)[:, None])[:, 0]
    most = min(max(top), logprobs.shape[1])
    values, ids = logprobs.topk(most, dim=-1)
    likeliest = [
        tuple(zip(row_ids, row_values, strict=True))
        for row_ids, row_values in zip(ids.tolist(), values.tolist(), strict=True)
    ]
    return [
        TokenLogprob.model_construct(logprob=logprob, top=row[:count])
        for logprob, row, count in zip(chosen.tolist(), likeliest, top, strict=True)
    ]


def pieces(rows: int) -> list[slice]:
    """Slices that together cover so many rows."""
    return [slice(at, min(at + _ROWS_AT_ONCE, rows)) for at in range(0, rows, _ROWS_AT_ONCE)]
