"""Training over the wire: a session, its numbered commands and their results.

Semantics follow Tinker's verbs: `forward_backward` adds to the gradient, `optim_step` applies and
clears it. Commands run in order and once: a repeated `seq` is answered from memory, a gap refused,
because a retried call must not double a gradient.
"""

from typing import Annotated, Literal

from pydantic import Field

from service.core.engine_protocol.models import DeltaRef, ErrorBody, Message

LossName = Literal["cross_entropy"]


class LoraTuning(Message):
    """A low-rank adapter (Hu et al. 2021): W + (alpha / rank) · B·A on the chosen linear layers."""

    type: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1, le=256)
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    use_rslora: bool = False
    """Scale by alpha / √rank instead (Kalajdzievski 2023)."""


Tuning = LoraTuning


class ResumePoint(Message):
    """A stored training state: adapter weights and optimizer moments."""

    key: str
    digest: str


class OpenSession(Message):
    """Ask for a training session. Opening the same (job, epoch) again returns the same session;
    a higher epoch closes the job's lower ones."""

    job: str
    epoch: int = Field(ge=1)
    base: str
    start_from: DeltaRef | None = None
    """Begin with these adapter weights instead of fresh ones."""
    tuning: Tuning
    seed: int = Field(ge=0, le=2**31 - 1)
    key_prefix: str
    """S3 prefix, ending in `/`, below which this session may write."""
    resume: ResumePoint | None = None
    """Go on from this state, whatever the weights began with; only for equal base, tuning, seed."""


class SessionOpened(Message):
    """The session is ready for commands with `seq` from `next_seq`."""

    session: str
    base_digest: str
    trainable_parameters: int
    next_seq: int


class TrainingRow(Message):
    """One example, as token ids."""

    line: int
    """1-based line of the data set, echoed in results and part of the dropout's random key."""
    group: int
    """Rows of one group stay in one micro-batch."""
    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    """Same length; weights[i] counts the prediction of tokens[i] from tokens[:i], weights[0]=0."""


class _Compute(Message):
    seq: int = Field(ge=1)
    step: int = Field(ge=0)
    """Optimizer step being prepared; part of every random key."""
    loss: LossName = "cross_entropy"
    normalizer: float = Field(gt=0)
    """Gradient = weighted sum / normalizer, so splitting a batch changes nothing."""
    rows: tuple[TrainingRow, ...]


class ForwardBackward(_Compute):
    """Add the rows' gradient to the session's."""

    op: Literal["forward_backward"] = "forward_backward"


class Forward(_Compute):
    """Measure only: no gradient, no dropout."""

    op: Literal["forward"] = "forward"


class OptimStep(Message):
    """AdamW (Loshchilov & Hutter 2019) with the gathered gradient, which is then cleared.

    Skipped, and said so, when the gradient is not finite.
    """

    op: Literal["optim_step"] = "optim_step"
    seq: int = Field(ge=1)
    step: int = Field(ge=1)
    learning_rate: float = Field(ge=0)
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    max_grad_norm: float | None = 1.0
    """None: no clipping."""


class Save(Message):
    """Store the session's weights below its key prefix. Answered twice: `SaveSnapshotTaken`, after
    which training may go on, and later `SaveStored`."""

    op: Literal["save"] = "save"
    seq: int = Field(ge=1)
    name: str = Field(pattern=r"^step-[0-9]{6,}$")
    parts: tuple[Literal["adapter", "state"], ...] = ("adapter",)
    """adapter: PEFT files under `{prefix}{name}/adapter/`. state: weights and optimizer moments
    under `{prefix}{name}/state/`, enough to go on."""


Command = Annotated[ForwardBackward | Forward | OptimStep | Save, Field(discriminator="op")]


class CommandBatch(Message):
    """Commands with consecutive `seq`, appended to the session's queue."""

    commands: tuple[Command, ...]


class CommandsAccepted(Message):
    next_seq: int


class RowLoss(Message):
    """What one row contributed."""

    line: int
    loss: float
    """Weighted sum of negative log-likelihoods, nats, before the normalizer."""
    weight: float
    correct: int
    """Trained tokens whose greedy prediction was right."""
    trained_tokens: int


class ForwardDone(Message):
    """Result of `forward_backward` and `forward`."""

    kind: Literal["forward_done"] = "forward_done"
    seq: int
    rows: tuple[RowLoss, ...]
    tokens: int
    """Tokens computed, trained or not."""
    seconds: float


class OptimStepDone(Message):
    kind: Literal["optim_step_done"] = "optim_step_done"
    seq: int
    grad_norm: float | None
    """Before clipping. None when it was not finite (JSON has no NaN)."""
    skipped: bool


class SaveSnapshotTaken(Message):
    kind: Literal["save_snapshot_taken"] = "save_snapshot_taken"
    seq: int


class StoredFile(Message):
    """A file below the session's key prefix."""

    name: str
    """Path below `{prefix}{save.name}/`, such as `adapter/adapter_model.safetensors`."""
    bytes: int
    sha256: str


class SaveStored(Message):
    kind: Literal["save_stored"] = "save_stored"
    seq: int
    files: tuple[StoredFile, ...]


class CommandFailed(Message):
    """The command raised; later commands of the session are refused."""

    kind: Literal["command_failed"] = "command_failed"
    seq: int
    error: ErrorBody


Result = Annotated[
    ForwardDone | OptimStepDone | SaveSnapshotTaken | SaveStored | CommandFailed,
    Field(discriminator="kind"),
]


class ResultBatch(Message):
    """Results in the order they happened. `cursor` is the next poll's `after`."""

    results: tuple[Result, ...]
    cursor: int
