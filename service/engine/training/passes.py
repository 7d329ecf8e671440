"""Micro-batches of one or several jobs, of whatever losses, in one pass over the base.

All jobs share the forward, the sweep over the vocabulary and the backward. In between each job's
loss is computed from that job's numbers alone; what it says of its states' gradients is put in its
own rows of one tensor, which goes back through the base once. Rows are selected, never multiplied
by a mask, so one job's NaN stays its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import CrossEntropy
from service.engine.attention import PackedRows
from service.engine.layers import RowDropout, TrainedRuns
from service.engine.runner import BaseRunner, PackedBatch
from service.engine.training.computed import Computed
from service.engine.training.losses import score_and_differentiate, score_tokens
from service.engine.training.packing import Packing
from service.engine.training.pass_parts import PartOutcome, PassPart
from service.engine.training.places import PartRead, Places, locate
from service.engine.training.random_keys import generator


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
            PartOutcome(Computed.of(part, own, states, scores, with_dropout=False).report())
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
) -> tuple[torch.Tensor, list[torch.Tensor], list[Computed]]:
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
            one = Computed.of(part, own, states, scores, with_dropout=True)
        one.follow_back(gradient, factors)
        computed.append(one)
    if head.trained and not all(isinstance(part.loss, CrossEntropy) for part in parts):
        # Its gradient is a sum over positions, whose factors are known only now.
        _, (_, *of_head) = score_and_differentiate(head, tokens, targets, factors)
    return gradient, of_head, computed


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
            share = not (with_dropout and part.dropout)
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
    probability = part.dropout
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
