"""Log-probabilities over the vocabulary, chunk by chunk: the logits never exist whole.

A position's log-probability depends on its own hidden state alone. So one sweep gives every loss
what it needs: the log-probabilities, and for each position the direction in which they change with
its state. How far it goes in that direction is one factor a position, which a loss may say
afterwards.
"""

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from service.engine.fused import AnyHead, PlainHead, TokenScores

_CHUNK = 128
"""Positions whose logits exist at once: fp32 logits of a whole batch would outweigh all else."""

VocabularyHead = AnyHead | PlainHead


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
        _measure(head.logits(hidden[chunk]), targets[chunk], scores.part(chunk))
    return scores


def score_and_differentiate(
    head: VocabularyHead,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    factors: torch.Tensor,
    *,
    with_entropy: bool = False,
) -> tuple[TokenScores, list[torch.Tensor]]:
    """As `score_tokens`, and the gradients of Σ factor · nll with respect to `hidden` and to what
    the head trains.

    Each chunk is followed back as soon as it is measured, so its logits are freed before the next.
    """
    if isinstance(head, PlainHead):
        return head.measure_and_differentiate(
            hidden.detach(), targets, factors, with_entropy=with_entropy
        )
    scores = TokenScores.empty(targets, with_entropy=with_entropy)
    gradient = torch.empty_like(hidden)
    own = [torch.zeros_like(weight) for weight in head.trained]
    for chunk in _chunks(hidden.shape[0]):
        leaf = hidden[chunk].detach().requires_grad_()
        with torch.enable_grad():
            nll = _measure(head.logits(leaf), targets[chunk], scores.part(chunk))
        found = torch.autograd.grad(nll, [leaf, *head.trained], factors[chunk])
        gradient[chunk] = found[0]
        for total, part in zip(own, found[1:], strict=True):
            total += part
    return scores, [gradient, *own]


def _measure(logits: torch.Tensor, targets: torch.Tensor, scores: TokenScores) -> torch.Tensor:
    """Fill the scores; returns the nll, which autograd can follow."""
    nll = F.cross_entropy(logits, targets, reduction="none")
    scores.nll.copy_(nll.detach())
    scores.is_correct.copy_(logits.detach().argmax(-1) == targets)
    if scores.entropy is not None:
        logprobs = torch.log_softmax(logits.detach(), dim=-1)
        scores.entropy.copy_(-(logprobs.exp() * logprobs).sum(-1))
    return nll


def _chunks(positions: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, positions, _CHUNK))
