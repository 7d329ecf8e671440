"""A training session of an engine in this process, command by command."""

from collections.abc import Sequence
from typing import Any

from service.core.engine_protocol import (
    Command,
    CommandBatch,
    CrossEntropy,
    DeltaRef,
    Forward,
    ForwardBackward,
    HeadSpec,
    LoraTuning,
    Loss,
    OpenSession,
    OptimStep,
    Report,
    Result,
    ResumePoint,
    Sample,
    SamplePrompt,
    Sampling,
    Save,
    TrainingRow,
    Tuning,
)
from service.engine.interface import EngineCore
from tests.service.engine.real_engine import BASE

LEARNING_RATE = 0.01
_CROSS_ENTROPY = CrossEntropy()


class Job:
    """Numbers its commands. `finish` waits for the results of all of them."""

    def __init__(
        self,
        engine: EngineCore,
        name: str = "ftjob-a",
        *,
        tuning: Tuning | None = None,
        head: HeadSpec | None = None,
        base: str = BASE,
        epoch: int = 1,
        seed: int = 7,
        start_from: DeltaRef | None = None,
        resume: ResumePoint | None = None,
        exact: bool = False,
        prefix: str = "p/test/jobs/",
    ) -> None:
        self.engine = engine
        self.prefix = f"{prefix}{name}/e{epoch}/"
        self.opened = engine.open_session(
            OpenSession(
                job=name,
                epoch=epoch,
                base=base,
                start_from=start_from,
                resume=resume,
                tuning=tuning or LoraTuning(rank=4, alpha=8),
                head=head,
                seed=seed,
                key_prefix=self.prefix,
                exact=exact,
            )
        )
        self.session = self.opened.session
        self.results: list[Result] = []
        self._seq = 0
        self._expected = 0

    def forward_backward(
        self,
        rows: Sequence[TrainingRow],
        *,
        step: int = 1,
        normalizer: float | None = None,
        loss: Loss = _CROSS_ENTROPY,
    ) -> None:
        """The normalizer is the sum of the weights unless it is given."""
        normalizer = normalizer or sum(sum(row.weights) for row in rows)
        self.send(
            ForwardBackward(
                seq=self._next(), step=step, normalizer=normalizer, rows=tuple(rows), loss=loss
            )
        )

    def forward(
        self,
        rows: Sequence[TrainingRow],
        *,
        loss: Loss = _CROSS_ENTROPY,
        report: tuple[Report, ...] = (),
        at_start: bool = False,
    ) -> None:
        self.send(
            Forward(
                seq=self._next(),
                step=0,
                normalizer=1,
                rows=tuple(rows),
                loss=loss,
                report=report,
                at_start=at_start,
            )
        )

    def sample(
        self, prompts: Sequence[SamplePrompt], *, n: int = 1, step: int = 0, **sampling: Any
    ) -> None:
        self.send(
            Sample(
                seq=self._next(),
                step=step,
                prompts=tuple(prompts),
                n=n,
                sampling=Sampling(**sampling),
            )
        )

    def optimize(
        self,
        *,
        step: int = 1,
        learning_rate: float = LEARNING_RATE,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = 1.0,
    ) -> None:
        self.send(
            OptimStep(
                seq=self._next(),
                step=step,
                learning_rate=learning_rate,
                weight_decay=weight_decay,
                max_grad_norm=max_grad_norm,
            )
        )

    def save(self, step: int, *, state: bool = False) -> str:
        """Returns the key prefix that it is stored under."""
        name = f"step-{step:06d}"
        self._expected += 1
        self.send(
            Save(
                seq=self._next(),
                name=name,
                parts=("adapter", "state") if state else ("adapter",),
            )
        )
        return f"{self.prefix}{name}/"

    def send(self, *commands: Command) -> None:
        self._expected += len(commands)
        self.engine.append_commands(self.session, CommandBatch(commands=commands))

    def finish(self) -> list[Result]:
        """Every result so far; ends early when a command has failed."""
        while len(self.results) < self._expected:
            batch = self.engine.wait_results(self.session, len(self.results), 60)
            assert batch.results, "the engine went silent"
            self.results += batch.results
            if self.results[-1].kind == "command_failed":
                break
        return self.results

    def _next(self) -> int:
        self._seq += 1
        return self._seq
