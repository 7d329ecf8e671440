"""A job of each kind of loss, with random rows that fit it."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from service.core.engine_protocol import (
    BradleyTerry,
    Classification,
    CrossEntropy,
    Dpo,
    Extras,
    HeadSpec,
    Ipo,
    LabelExtras,
    LoraTuning,
    Loss,
    PairExtras,
    Policy,
    PolicyExtras,
    SimPo,
    TrainingRow,
)
from service.engine.heads import Head
from service.engine.runner import BaseRunner
from service.engine.training.head_part import HeadPart
from service.engine.training.lora_part import LoraPart
from service.engine.training.model import Start, TrainedModel
from service.engine.training.pass_parts import PassPart
from service.engine.training.weights import RowWeights

_LABELS = ("a", "b", "c")
_PPO = Policy(kl_coefficient=0.1, value_coefficient=0.5, value_clip=0.2)


@dataclass(frozen=True)
class Case:
    loss: Loss
    head: HeadSpec | None = None

    def rows(self, lengths: Sequence[int], seed: int) -> list[TrainingRow]:
        """A row, or of a loss of pairs two, for each length."""
        draw = random.Random(seed)
        is_paired = isinstance(self.loss, Dpo | Ipo | SimPo | BradleyTerry)
        found: list[TrainingRow] = []
        for group, length in enumerate(lengths, start=1):
            for is_chosen in (True, False) if is_paired else (True,):
                tokens = tuple(draw.randrange(3, 120) for _ in range(length + (not is_chosen)))
                cut = len(tokens) // 3
                weights = [
                    draw.choice((0.0, 1.0, 1.0)) if i > cut else 0.0 for i in range(len(tokens))
                ]
                weights[-1] = 1.0
                trained = sum(weight > 0 for weight in weights)
                found.append(
                    TrainingRow(
                        line=len(found) + 1,
                        group=group,
                        tokens=tokens,
                        weights=tuple(weights),
                        extras=self._extras(draw, trained, is_chosen=is_chosen),
                    )
                )
        return found

    def part(self, runner: BaseRunner, rows: Sequence[TrainingRow], seed: int) -> PassPart:
        """The job: an adapter and the head that its loss reads, all with random weights."""
        head = None
        if self.head is not None:
            size = runner.base.model.config.hidden_size
            head = HeadPart(Head(self.head, size))
        lora = LoraPart(runner, LoraTuning(rank=2 + seed % 3, alpha=8))
        model = TrainedModel(Start(RowWeights(runner)), lora=lora, head=head)
        model.weights.initialise(seed)
        drawn = torch.Generator().manual_seed(seed)
        model.weights.flat += 0.1 * torch.randn(model.weights.size, generator=drawn)
        model.weights.refresh()
        return PassPart(model, tuple(rows), normalizer=7.0, seed=seed, step=1, loss=self.loss)

    def _extras(self, draw: random.Random, trained: int, *, is_chosen: bool) -> Extras | None:
        match self.loss:
            case CrossEntropy():
                return None
            case Classification():
                assert self.head is not None
                count = draw.randrange(4) if self.head.multi_label else 1
                return LabelExtras(labels=tuple(draw.sample(range(3), count)))
            case Policy():
                return PolicyExtras(
                    # Near what a random model says of a token, so that some ratios are clipped.
                    old_logprobs=tuple(-4.9 + draw.gauss(0, 1) for _ in range(trained)),
                    advantages=_gauss(draw, trained),
                    reference_logprobs=tuple(-4.9 + draw.gauss(0, 1) for _ in range(trained)),
                    returns=_gauss(draw, trained),
                    old_values=_gauss(draw, trained),
                )
            case _:
                return PairExtras(is_chosen=is_chosen, reference=-5.0 * trained + draw.gauss(0, 2))


def _gauss(draw: random.Random, count: int) -> tuple[float, ...]:
    return tuple(draw.gauss(0, 1) for _ in range(count))


CASES = {
    "cross_entropy": Case(CrossEntropy()),
    "dpo": Case(Dpo(beta=0.3)),
    "ipo": Case(Ipo(beta=0.2)),
    "simpo": Case(SimPo()),
    "bradley_terry": Case(BradleyTerry(), HeadSpec(kind="reward")),
    "classification": Case(
        Classification(label_weights=(1.0, 2.5, 0.5)),
        HeadSpec(kind="classification", labels=_LABELS, hidden_layers=(9, 5)),
    ),
    "multi_label": Case(
        Classification(label_weights=(1.0, 2.5, 0.5)),
        HeadSpec(kind="classification", labels=_LABELS, multi_label=True, pooling="mean"),
    ),
    "grpo": Case(Policy(clip_low=0.2, clip_high=0.28, kl_coefficient=0.04)),
    "ppo": Case(_PPO, HeadSpec(kind="value", hidden_layers=(6,))),
}
