"""Micro-batches of one or several jobs, of whatever losses, in one pass over the base.

All jobs share the forward, the sweep over the vocabulary and the backward. In between each job's
loss is computed from that job's numbers alone; what it says of its states' gradients is put in its
own rows of one tensor, which goes back through the base once. Rows are selected, never multiplied
by a mask, so one job's NaN stays its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from service.core.engine_protocol import CrossEntropy, HeadSpec, Loss, Report, RowLoss, TrainingRow
from service.engine.attention import PackedRows
from service.engine.fused import TokenScores
from service.engine.layers import RowDropout, TrainedRuns
from service.engine.runner import BaseRunner, PackedBatch
from service.engine.training.head_inputs import HeadDropout, HeadOutputs, score_rows, value_tokens
from service.engine.training.losses import (
    Measured,
    Needs,
    Shares,
    apply_loss,
    score_and_differentiate,
    score_tokens,
)
from service.engine.training.model import TrainedModel
from service.engine.training.packing import Packing
from service.engine.training.places import PartPlaces, PartRead, Places, locate
from service.engine.training.random_keys import generator
from service.engine.training.reports import report_rows
from service.engine.training.weights import RowWeights

_CROSS_ENTROPY = CrossEntropy()


@dataclass(frozen=True)
class PassPart:
    """One job's rows in a pass. They have been checked against the loss."""

    model: TrainedModel
    rows: tuple[TrainingRow, ...]
    normalizer: float
    seed: int
    step: int
    loss: Loss = _CROSS_ENTROPY
    report: tuple[Report, ...] = ()
    at_start: bool = False
    """Computed with the weights that the job began with."""

    @property
    def used(self) -> RowWeights:
        """What its rows are computed with."""
        return self.model.at_start if self.at_start else self.model.now

    @property
    def tokens(self) -> int:
        return sum(len(row.tokens) for row in self.rows)

    @property
    def spec(self) -> HeadSpec | None:
        """Of the head, if there is one."""
        return None if self.model.head is None else self.model.head.head.spec

    @property
    def needs(self) -> Needs:
        return Needs.of(self.loss, self.report, self.spec)


@dataclass(frozen=True)
class PartOutcome:
    """What a pass found for one job."""

    losses: list[RowLoss]
    """In the order of the rows."""
    gradients: Sequence[torch.Tensor] | None = None
    """Of the model's leaves; None where nothing was differentiated."""


def measure(runner: BaseRunner, parts: Sequence[PassPart]) -> list[PartOutcome]:
    """Losses alone, without dropout."""
    packed = _Packed.of(parts, with_dropout=False)
    places = packed.places
    with torch.inference_mode():
        states = packed.gathered_states(runner)
        scores = score_tokens(
            runner.loss_head,
            states[: places.tokens],
            _index(runner, places.targets),
            with_entropy=_wants_entropy(parts),
        )
        return [
            PartOutcome(_Computed.of(part, own, states, scores, with_dropout=False).report())
            for part, own in zip(parts, places.parts, strict=True)
        ]


def measure_and_differentiate(runner: BaseRunner, parts: Sequence[PassPart]) -> list[PartOutcome]:
    """Losses and gradients, which are added to nothing yet."""
    packed = _Packed.of(parts, with_dropout=True)
    places = packed.places
    with torch.enable_grad():
        states = packed.gathered_states(runner)
    gradient, of_head, computed = _differentiate_losses(runner, parts, places, states.detach())
    leaves = [leaf for one in computed for leaf in one.base_leaves]
    found = iter(
        torch.autograd.grad(
            [states, *runner.loss_head.trained],
            leaves,
            [gradient, *of_head],
            allow_unused=True,
            materialize_grads=True,
        )
    )
    return [PartOutcome(one.report(), one.gradients(found)) for one in computed]


def _differentiate_losses(
    runner: BaseRunner, parts: Sequence[PassPart], places: Places, states: torch.Tensor
) -> "tuple[torch.Tensor, list[torch.Tensor], list[_Computed]]":
    """The gradient of all losses with respect to the gathered states and to what the vocabulary's
    head trains; and what was computed on the way."""
    head, tokens = runner.loss_head, states[: places.tokens]
    targets, factors = _index(runner, places.targets), _known_factors(runner, parts, places)
    scores, (of_tokens, *of_head) = score_and_differentiate(
        head, tokens, targets, factors, with_entropy=_wants_entropy(parts)
    )
    gradient = torch.cat([of_tokens, torch.zeros_like(states[places.tokens :])])
    computed = []
    for part, own in zip(parts, places.parts, strict=True):
        with torch.enable_grad():
            one = _Computed.of(part, own, states, scores, with_dropout=True)
        one.follow_back(gradient, factors)
        computed.append(one)
    if head.trained and not all(isinstance(part.loss, CrossEntropy) for part in parts):
        # Its gradient is a sum over positions, whose factors are known only now.
        _, (_, *of_head) = score_and_differentiate(head, tokens, targets, factors)
    return gradient, of_head, computed


@dataclass
class _Computed:
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
    ) -> "_Computed":
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
    keys = HeadDropout(part.seed, part.step) if with_dropout else None
    if part.needs.values:
        return value_tokens(head, states, places.tokens, part.rows, places.counts, keys)
    return score_rows(head, states, places.pooled, part.rows, places.lengths, keys)


@dataclass(frozen=True)
class _Packed:
    """The rows of all parts in one line."""

    packing: Packing
    parts: Sequence[PassPart]
    tokens: Sequence[int]
    """Computed for each part."""
    places: Places
    with_dropout: bool

    @classmethod
    def of(cls, parts: Sequence[PassPart], *, with_dropout: bool) -> "_Packed":
        """Rows share their beginnings within a job, unless each row's dropout is its own."""
        packing, tokens, read = Packing(), [], []
        for part in parts:
            share = not (with_dropout and part.model.dropout)
            tokens.append(packing.add([row.tokens for row in part.rows], share=share))
            own = packing.places[len(packing.places) - len(part.rows) :]
            read.append(PartRead(part.rows, own, part.needs, part.spec))
        return cls(packing, parts, tokens, locate(read), with_dropout)

    def gathered_states(self, runner: BaseRunner) -> torch.Tensor:
        """(places, size): what the losses read. Follows the caller's gradient mode."""
        return runner.hidden(self._batch(runner))[_index(runner, self.places.index)]

    def _batch(self, runner: BaseRunner) -> PackedBatch:
        packing, device = self.packing, runner.base.device
        runs = tuple(
            part.used.run(tokens, _dropout(part, device) if self.with_dropout else None)
            for part, tokens in zip(self.parts, self.tokens, strict=True)
        )
        return PackedBatch(
            runner.tensor(packing.tokens),
            runner.tensor(packing.positions),
            PackedRows(packing.lengths, device, packing.prefixes),
            TrainedRuns(runs),
        )


def _dropout(part: PassPart, device: torch.device) -> RowDropout | None:
    probability = part.model.dropout
    if not probability:
        return None
    generators = [
        generator(part.seed, step=part.step, purpose="dropout", line=row.line, device=device)
        for row in part.rows
    ]
    return RowDropout(probability, [len(row.tokens) for row in part.rows], generators)


def _known_factors(runner: BaseRunner, parts: Sequence[PassPart], places: Places) -> torch.Tensor:
    """What each position's nll is scaled by where that is known before its loss, else 1."""
    factors = [
        weight / part.normalizer if isinstance(part.loss, CrossEntropy) else 1.0
        for part, own in zip(parts, places.parts, strict=True)
        for weight in own.weights
    ]
    return torch.tensor(factors, dtype=torch.float32, device=runner.base.device)


def _wants_entropy(parts: Sequence[PassPart]) -> bool:
    return any(part.needs.entropy for part in parts)


def _index(runner: BaseRunner, values: Sequence[int]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.long, device=runner.base.device)
