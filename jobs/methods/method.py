"""What a training method is to the runner, and what sets one apart in the epoch loop."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from jobs.methods.examples import Example
from jobs.methods.reporting import StepReport, Tally
from jobs.runner.session import EngineSession
from service.core.domain.jobs import DataFacts
from service.core.engine_protocol import CrossEntropy, HeadSpec, Loss, Report, RowLoss
from service.core.hyperparameters import ResolvedHyperparameters


@dataclass(frozen=True)
class Plan:
    """What is to be trained, whichever attempt does it."""

    training: Sequence[Example]
    validation: Sequence[Example]
    """Empty without a validation file."""
    numbers: ResolvedHyperparameters
    facts: DataFacts
    seed: int
    replay: Sequence[Example] = ()
    """Text to be mixed in."""


class Artefacts(Protocol):
    """What a job keeps from one attempt to the next, by name."""

    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, content: bytes) -> None: ...


@dataclass(frozen=True)
class Answered:
    """What the policy says to a prompt."""

    prompt: Example
    text: str


class Environment(Protocol):
    """What a policy lives in."""

    @property
    def context_length(self) -> int: ...
    @property
    def stop_token_ids(self) -> tuple[int, ...]: ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of an answer."""
        ...

    def rewards(self, answers: Sequence[Answered]) -> Sequence[float]:
        """What each is worth. May raise what ends an attempt."""
        ...


@dataclass(frozen=True)
class Run:
    """The attempt that trains it."""

    session: EngineSession
    artefacts: Artefacts
    environment: Environment | None = None
    """Of methods that learn from their own answers."""
    after_step: int = 0
    """A session that was resumed has the steps up to here behind it."""
    told: Sequence[StepReport] = ()
    """Of those steps."""
    kept: bytes | None = None
    """What the method has kept beside the weights of `after_step`."""
    keep: Callable[[int, bytes], None] = lambda *_: None
    """To be called before a save of that step, whose training state it goes with."""
    is_asked_to_stop: Callable[[], bool] = lambda: False
    state_seconds: float = 60.0
    """A training state is stored at least so often."""


class TrainingMethod(ABC):
    """One way to train."""

    minimum_examples: ClassVar[int] = 10

    def head(self, facts: DataFacts) -> HeadSpec | None:
        """What is trained beside the job's tuning."""
        del facts
        return None

    @abstractmethod
    def train(self, plan: Plan, run: Run) -> Iterator[StepReport]:
        """Run the job's optimizer steps; yields a report for each, and one for step 0 when there
        is a validation file. Checkpoints arrive in `run.session.take_stored()`.

        Raises TrainingDiverged, and what the engine session raises.
        """


@dataclass(frozen=True)
class Measurement:
    """What some examples say of the weights."""

    metrics: Mapping[str, float]
    """By name without prefix."""
    details: Mapping[str, Any] = field(default_factory=dict)

    def named(self, prefix: str) -> dict[str, float]:
        return {f"{prefix}_{name}": value for name, value in self.metrics.items()}


class Objective(ABC):
    """What sets a method apart in the epoch loop."""

    report: ClassVar[tuple[Report, ...]] = ()
    """What evaluations must tell of each row beside its loss."""
    is_calibrated: ClassVar[bool] = False
    """Whether a save needs the evaluation of the weights that it saves."""

    @property
    def loss(self) -> Loss:
        return CrossEntropy()

    @abstractmethod
    def normalizer(self, examples: Sequence[Example]) -> float:
        """What the batch's summed loss is divided by."""

    @abstractmethod
    def measure(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> Measurement:
        """`rows` in the order of the examples' rows."""

    def calibrate(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> float:
        """The temperature that a classifier is to be saved with."""
        del examples, rows
        return 1.0


class TokenObjective(Objective):
    """Of methods that learn to say tokens."""

    def normalizer(self, examples: Sequence[Example]) -> float:
        return sum(row.trained_weight for example in examples for row in example.rows)

    def measure(self, examples: Sequence[Example], rows: Sequence[RowLoss]) -> Measurement:
        del examples
        tally = Tally.of(rows)
        accuracy = tally.correct / tally.trained_tokens if tally.trained_tokens else 0.0
        return Measurement({"loss": tally.loss, "mean_token_accuracy": accuracy})


class PairObjective(Objective):
    """Of methods that learn which of two is better."""

    def normalizer(self, examples: Sequence[Example]) -> float:
        return float(len(examples))
