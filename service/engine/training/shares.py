"""What sessions give to a pass, and which of it is computed together."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.core.engine_protocol import Forward
from service.engine.runner import BaseRunner
from service.engine.training.head_passes import measure_and_differentiate_head, measure_head
from service.engine.training.micro_batches import MicroBatch
from service.engine.training.pass_parts import PartOutcome, PassPart
from service.engine.training.passes import measure, measure_and_differentiate
from service.engine.training.session import Computation, Session


@dataclass(frozen=True)
class Share:
    """What one session gives to a pass: its next micro-batch."""

    session: Session
    computation: Computation

    @property
    def batch(self) -> MicroBatch:
        return self.computation.remaining[0]

    @property
    def part(self) -> PassPart:
        command = self.computation.command
        measuring = command if isinstance(command, Forward) else None
        return PassPart(
            self.session.model,
            self.batch.rows,
            command.normalizer,
            self.session.request.seed,
            command.step,
            command.loss,
            measuring.report if measuring else (),
            at_start=measuring is not None and measuring.at_start,
        )

    @property
    def is_head_alone(self) -> bool:
        """Whether it passes by the base."""
        return self.session.features is not None

    @property
    def is_alone(self) -> bool:
        """Whether nothing is computed beside it."""
        return self.is_head_alone or self.session.request.exact

    @property
    def is_plain(self) -> bool:
        """Whether the fused layers can compute it, which a DoRA beside it would forbid."""
        return self.part.used.is_plain

    @property
    def runner(self) -> BaseRunner:
        """What it is computed on."""
        return self.part.used.runner


def compute(shares: Sequence[Share]) -> list[PartOutcome]:
    """Touches no state, so that it can be tried again."""
    first, parts = shares[0], [share.part for share in shares]
    features, measures = first.session.features, isinstance(first.computation.command, Forward)
    if features is not None:
        compute_head = measure_head if measures else measure_and_differentiate_head
        return [compute_head(part, features) for part in parts]
    compute_parts = measure if measures else measure_and_differentiate
    return compute_parts(first.runner, parts)


def choose(shares: Sequence[Share], budget: int) -> list[Share]:
    """The first, and what fits beside it: the same base, the same kind of command, whole
    micro-batches, at most one a job, since its activations are what a pass needs memory for; and
    nothing beside a job that wants its passes for itself."""
    first = shares[0]
    chosen, tokens = [first], first.batch.tokens
    if first.is_alone:
        return chosen
    for share in shares[1:]:
        if share.is_alone:
            continue
        same_base = share.runner is first.runner and share.is_plain == first.is_plain
        same_kind = share.computation.command.op == first.computation.command.op
        if same_base and same_kind and tokens + share.batch.tokens <= budget:
            chosen.append(share)
            tokens += share.batch.tokens
    return chosen
