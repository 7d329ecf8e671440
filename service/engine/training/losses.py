"""Losses over hidden states. Each gives what its rows report and the gradient to pass back."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from service.engine.fused import AnyHead, PlainHead

_CHUNK = 128
"""Positions whose logits exist at once: fp32 logits of a whole batch would outweigh all else."""


Head = AnyHead | PlainHead


@dataclass(frozen=True)
class TokenLosses:
    """Cross-entropy of each position, on the CPU."""

    nll: torch.Tensor
    """fp32, nats."""
    is_correct: torch.Tensor
    """Whether the likeliest token is the target."""


def cross_entropy(head: Head, hidden: torch.Tensor, targets: torch.Tensor) -> TokenLosses:
    """Measure (positions, size) against (positions) token ids."""
    if isinstance(head, PlainHead):
        return _report(*head.measure(hidden, targets))
    parts = [
        _measure(head.logits(hidden[chunk]), targets[chunk]) for chunk in _chunks(hidden.shape[0])
    ]
    return _join(parts)


def cross_entropy_with_gradient(
    head: Head, hidden: torch.Tensor, targets: torch.Tensor, factors: torch.Tensor
) -> tuple[TokenLosses, list[torch.Tensor]]:
    """As `cross_entropy`, and the gradients of Σ factor · nll with respect to `hidden` and to what
    the head trains.

    Each chunk is followed back as soon as it is measured, so its logits are freed before the next.
    """
    if isinstance(head, PlainHead):
        nll, is_correct, gradients = head.measure_and_differentiate(
            hidden.detach(), targets, factors
        )
        return _report(nll, is_correct), gradients
    gradient = torch.empty_like(hidden)
    own = [torch.zeros_like(weight) for weight in head.trained]
    parts = []
    for chunk in _chunks(hidden.shape[0]):
        leaf = hidden[chunk].detach().requires_grad_()
        logits = head.logits(leaf)
        loss = F.cross_entropy(logits, targets[chunk], reduction="none")
        found = torch.autograd.grad(loss, [leaf, *head.trained], factors[chunk])
        gradient[chunk] = found[0]
        for total, part in zip(own, found[1:], strict=True):
            total += part
        parts.append((loss.detach(), logits.detach().argmax(-1) == targets[chunk]))
    return _join(parts), [gradient, *own]


def _measure(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    loss = F.cross_entropy(logits, targets, reduction="none")
    return loss, logits.argmax(-1) == targets


def _chunks(positions: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, positions, _CHUNK)]


def _join(parts: list[tuple[torch.Tensor, torch.Tensor]]) -> TokenLosses:
    if not parts:
        return TokenLosses(torch.empty(0), torch.empty(0, dtype=torch.bool))
    losses, correct = zip(*parts, strict=True)
    return _report(torch.cat(losses), torch.cat(correct))


def _report(nll: torch.Tensor, is_correct: torch.Tensor) -> TokenLosses:
    return TokenLosses(nll.cpu(), is_correct.cpu())
