"""One job's loss in a pass: from the numbers that the pass found to their gradients."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from service.core.engine_protocol import CrossEntropy, RowLoss
from service.engine.fused import TokenScores
from service.engine.training.head_inputs import HeadOutputs, score_rows, value_tokens
from service.engine.training.losses import Measured, Shares, apply_loss
from service.engine.training.pass_parts import PassPart
from service.engine.training.places import PartPlaces
from service.engine.training.reports import report_rows


@dataclass
class Computed:
    """One job's loss, with the numbers that it was computed from."""

    part: PassPart
    places: PartPlaces
    found: Measured
    shares: Shares
    head: HeadOutputs | None
    of_head: dict[int, torch.Tensor] = field(default_factory=dict)
    """Gradients of the head's tensors, by their identity."""

    @classmethod
    def of(
        cls,
        part: PassPart,
        places: PartPlaces,
        states: torch.Tensor,
        scores: TokenScores,
        *,
        with_dropout: bool,
    ) -> "Computed":
        """Autograd follows the loss if the caller's gradient mode says so, to the job's own
        log-probabilities and states."""
        own, device = scores.part(places.tokens), states.device
        logprobs = -own.nll
        if torch.is_grad_enabled():
            logprobs.requires_grad_()
        head = _apply_head(part, places, states, with_dropout=with_dropout)
        found = Measured(
            rows=part.rows,
            row_of=torch.tensor(places.row_of, dtype=torch.long, device=device),
            weights=torch.tensor(places.weights, dtype=Measured.precise(device), device=device),
            logprobs=logprobs,
            is_correct=own.is_correct,
            entropy=own.entropy if part.needs.entropy else None,
            values=head.outputs if head and part.needs.values else None,
            scores=head.outputs if head and part.needs.scores else None,
        )
        return cls(part, places, found, apply_loss(part.loss, part.spec, found), head)

    def follow_back(self, gradient: torch.Tensor, factors: torch.Tensor) -> None:
        """Put the job's share of the gradient into its own rows.

        Its tokens' rows hold the gradients of their nll; `factors` becomes what they were scaled
        by.
        """
        if isinstance(self.part.loss, CrossEntropy):
            return  # the factors were known before
        total = self.shares.loss.sum() / self.part.normalizer
        wanted = [self.found.logprobs, *(self.head.wanted if self.head else ())]
        of_logprobs, *of_head = torch.autograd.grad(
            total, wanted, allow_unused=True, materialize_grads=True
        )
        tokens = self.places.tokens
        factors[tokens] = -of_logprobs
        gradient[tokens] *= factors[tokens, None]
        if self.head is not None:
            gradient[self.head.place] += of_head[0]
            tensors = self.part.model.head_tensors.values()
            self.of_head = {id(x): g for x, g in zip(tensors, of_head[1:], strict=True)}

    @property
    def base_leaves(self) -> list[torch.Tensor]:
        """What the job trains and the pass over the base reaches."""
        heads = {id(tensor) for tensor in self.part.model.head_tensors.values()}
        return [leaf for leaf in self.part.model.weights.leaves if id(leaf) not in heads]

    def gradients(self, of_base: Iterator[torch.Tensor]) -> list[torch.Tensor]:
        """Of the model's leaves, in their order; takes those of `base_leaves` from the front."""
        heads = {id(tensor): tensor for tensor in self.part.model.head_tensors.values()}
        return [
            self.of_head.get(id(leaf), torch.zeros_like(leaf))
            if id(leaf) in heads
            else next(of_base)
            for leaf in self.part.model.weights.leaves
        ]

    def report(self) -> list[RowLoss]:
        return report_rows(self.found, self.shares, self.places.counts, self.part.report)


def _apply_head(
    part: PassPart, places: PartPlaces, states: torch.Tensor, *, with_dropout: bool
) -> HeadOutputs | None:
    head = part.model.head
    if head is None or not (part.needs.values or part.needs.scores):
        return None
    keys = part.head_dropout if with_dropout else None
    if part.needs.values:
        return value_tokens(head, states, places.tokens, part.rows, places.counts, keys)
    return score_rows(head, states, places.pooled, part.rows, places.lengths, keys)
