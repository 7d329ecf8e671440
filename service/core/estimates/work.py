"""The work of a job, as the sums of the features of all that an engine will be asked for.

It follows the loops of `jobs/methods` command by command: who changes one changes the other, and
`benchmarks/estimates.py` tells who forgot.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from service.core.batching import cut_groups, epoch_order, pack_sizes
from service.core.domain.methods import DpoMethod, Method
from service.core.estimates.examples import SizedExample
from service.core.estimates.laws import (
    Features,
    LawName,
    PassSize,
    Trained,
    measure_features,
    optimizer_features,
    pass_features,
    save_features,
    session_features,
)
from service.core.hyperparameters import ResolvedHyperparameters
from service.core.shared_beginnings import packed_tokens

_EXAMPLES_A_COMMAND = 64
_SAMPLE_EXAMPLES = 16
_EXAMINED_UNITS = 8192
"""Of an epoch; so many drawn at random stand for all, within a percent."""

Unit = Sequence[SizedExample]


@dataclass
class JobWork:
    """All of a job."""

    steps: int = 0
    tokens_per_epoch: int = 0
    trained_tokens: int = 0
    """Of all epochs, as they will be billed."""
    sums: dict[LawName, Features] = field(default_factory=dict)
    largest: PassSize = field(default_factory=lambda: PassSize(0))
    """Of the pass that needs most memory."""
    is_drawn: bool = False
    """Whether the model's own answers decide how much there is to do."""

    def add(self, law: LawName, features: Features, times: float = 1.0) -> None:
        before = self.sums.get(law, (0.0,) * len(features))
        self.sums[law] = tuple(a + times * b for a, b in zip(before, features, strict=True))

    def note_pass(self, size: PassSize) -> None:
        if (size.tokens, size.scored) > (self.largest.tokens, self.largest.scored):
            self.largest = size


@dataclass(frozen=True)
class Setting:
    """What is the same in every pass of a job."""

    method: Method
    trained: Trained
    numbers: ResolvedHyperparameters
    micro_batch_tokens: int
    seed: int = 0
    has_dropout: bool = False
    """Each row's is its own, so that none shares its beginning while it is trained on."""

    @property
    def is_scored(self) -> bool:
        """Whether losses need the vocabulary."""
        return self.method.type not in ("classification", "reward_model")

    def passes(
        self, examples: Sequence[SizedExample], *, differentiates: bool
    ) -> Iterator[PassSize]:
        """Of the examples of one command."""
        share = self.trained.law != "head" and not (differentiates and self.has_dropout)
        groups = [example.rows for example in examples]
        for places in cut_groups(groups, limit=self.micro_batch_tokens, share=share):
            chosen = [examples[place] for place in places]
            rows = list(chain.from_iterable(example.rows for example in chosen))
            weighed = sum(example.weighed for example in chosen)
            yield PassSize.of(
                [len(row) for row in rows],
                weighed if self.is_scored else 0,
                tokens=packed_tokens(rows, share=share),
            )


def with_seed(setting: Setting, seed: int) -> Setting:
    return replace(setting, seed=seed)


def units_of(training: Sequence[SizedExample], setting: Setting) -> list[Unit]:
    """What `batch_size` counts."""
    numbers = setting.numbers
    if numbers.unit_tokens is None:
        return [(example,) for example in training]
    sizes = [example.tokens for example in training]
    packed = pack_sizes(sizes, limit=numbers.unit_tokens, seed=setting.seed)
    return [[training[place] for place in places] for places in packed]


def epochs_work(
    training: Sequence[SizedExample], validation: Sequence[SizedExample], setting: Setting
) -> JobWork:
    """Of the methods with epochs over rows. One epoch is gone through, and stands for all."""
    numbers, work = setting.numbers, JobWork()
    units = units_of(training, setting)
    work.steps = numbers.total_steps(len(units))
    work.tokens_per_epoch = sum(example.tokens for example in training)
    work.trained_tokens = work.tokens_per_epoch * numbers.n_epochs
    _add_training(work, units, setting)
    _add_evaluations(work, validation, setting)
    if isinstance(setting.method, DpoMethod) and setting.method.loss != "simpo":
        add_forwards(work, [*training, *validation], setting)
    if setting.trained.law == "head":
        fresh = work.tokens_per_epoch + sum(example.tokens for example in validation)
        work.add("head", (0.0, 0.0, fresh / 1e3))
    add_steps(work, setting)
    return work


def add_steps(work: JobWork, setting: Setting) -> None:
    """What goes with optimizer steps whatever they learn from."""
    parameters = setting.trained.parameters
    work.add("optimizer", optimizer_features(parameters), work.steps)
    saves = len(setting.numbers.checkpoint_steps(work.steps))
    work.add("save", save_features(parameters), saves)
    work.add("session", session_features(work.steps, parameters))


def add_pass(work: JobWork, size: PassSize, setting: Setting, times: float = 1.0) -> None:
    """With gradients."""
    work.add(setting.trained.law, pass_features(size, setting.trained), times)
    work.note_pass(size)


def add_forwards(
    work: JobWork, examples: Sequence[SizedExample], setting: Setting, times: float = 1.0
) -> None:
    """Without, in commands of so many examples."""
    for start in range(0, len(examples), _EXAMPLES_A_COMMAND):
        command = examples[start : start + _EXAMPLES_A_COMMAND]
        for size in setting.passes(command, differentiates=False):
            if setting.trained.law == "head":
                work.add("head", pass_features(size, setting.trained), times)
            else:
                work.add("measure", measure_features(size), times)


def _add_training(work: JobWork, units: Sequence[Unit], setting: Setting) -> None:
    numbers = setting.numbers
    order = epoch_order(len(units), seed=setting.seed, epoch=1)
    times = float(numbers.n_epochs)
    if len(order) > _EXAMINED_UNITS:
        times *= len(order) / _EXAMINED_UNITS
        order = order[:_EXAMINED_UNITS]
    for start in range(0, len(order), numbers.batch_size):
        batch = order[start : start + numbers.batch_size]
        examples = [example for place in batch for example in units[place]]
        for size in setting.passes(examples, differentiates=True):
            add_pass(work, size, setting, times)


def _add_evaluations(work: JobWork, validation: Sequence[SizedExample], setting: Setting) -> None:
    """Of the whole file before the first step and after each epoch, of a sample in between; with
    early stopping of the whole file each time."""
    if not validation:
        return
    numbers = setting.numbers
    samples = work.steps // numbers.eval_steps
    add_forwards(work, validation[:_SAMPLE_EXAMPLES], setting, samples)
    full = 1 + numbers.n_epochs
    if numbers.early_stopping_patience is not None:
        full += samples
    add_forwards(work, validation, setting, full)
