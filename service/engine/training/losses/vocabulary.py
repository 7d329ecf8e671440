"""Log-probabilities over the vocabulary, chunk by chunk: the logits never exist whole.

A position's log-probability depends on its own hidden state alone. So one sweep gives every
loss what it needs: the log-probabilities, and the direction in which each changes with its state;
how far a loss goes into that direction it says afterwards, with one number a position.
"""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from service.engine.fused import PlainHead, TokenScores

_CHUNK = 128
"""Positions whose logits exist at once: fp32 logits of a whole batch would outweigh all else."""

VocabularyHead = Callable[[torch.Tensor], torch.Tensor] | PlainHead


def score_tokens(
    head: VocabularyHead,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    *,
    with_entropy: bool = False,
) -> TokenScores:
    """Measure (positions, size) against (positions) token ids."""
    if isinstance(head, PlainHead):
        return head.measure(hidden, targets, with_entropy=with_entropy)
    scores = TokenScores.empty(targets, with_entropy=with_entropy)
    for chunk in _chunks(hidden.shape[0]):
        _measure(head(hidden[chunk]), targets[chunk], scores.part(chunk))
    return scores


def score_and_differentiate(
    head: VocabularyHead,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    *,
    with_entropy: bool = False,
) -> tuple[TokenScores, torch.Tensor]:
    """As `score_tokens`, and of each position the gradient of its nll with respect to its state.

    Each chunk is followed back as soon as it is measured, so its logits are freed before the next.
    """
    if isinstance(head, PlainHead):
        return head.measure_and_differentiate(hidden.detach(), targets, with_entropy=with_entropy)
    scores = TokenScores.empty(targets, with_entropy=with_entropy)
    gradient = torch.empty_like(hidden)
    for chunk in _chunks(hidden.shape[0]):
        leaf = hidden[chunk].detach().requires_grad_()
        with torch.enable_grad():
            logits = head(leaf)
            nll = _measure(logits, targets[chunk], scores.part(chunk))
        # One row's nll depends on that row alone, so the sum's gradient is each one's own.
        (gradient[chunk],) = torch.autograd.grad(nll, leaf, torch.ones_like(nll))
    return scores, gradient


def _measure(logits: torch.Tensor, targets: torch.Tensor, scores: TokenScores) -> torch.Tensor:
    """Fill the scores; returns the nll, which autograd can follow."""
    nll = F.cross_entropy(logits, targets, reduction="none")
    with torch.no_grad():
        scores.nll.copy_(nll)
        scores.is_correct.copy_(logits.argmax(-1) == targets)
        if scores.entropy is not None:
            logprobs = torch.log_softmax(logits, dim=-1)
            scores.entropy.copy_(-(logprobs.exp() * logprobs).sum(-1))
    return nll


def _chunks(positions: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, positions, _CHUNK))
