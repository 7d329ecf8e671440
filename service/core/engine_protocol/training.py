"""Training over the wire: a session, its numbered commands and their results.

Semantics follow Tinker's verbs: `forward_backward` adds to the gradient, `optim_step` applies and
clears it. Commands run in order and once: a repeated `seq` is answered from memory, a gap refused,
because a retried call must not double a gradient.
"""

from typing import Annotated, Literal

from pydantic import Field

from service.core.engine_protocol.generation import FinishReason, Sampling
from service.core.engine_protocol.losses import CrossEntropy, Extras, Loss
from service.core.engine_protocol.models import DeltaRef, ErrorBody, Message
from service.core.engine_protocol.tunings import HeadSpec, Tuning


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
    """Begin where this delta ends: its weights are trained further, or lie frozen below."""
    tuning: Tuning
    head: HeadSpec | None = None
    """Trained beside what `tuning` says; needed by the losses that read one."""
    seed: int = Field(ge=0, le=2**31 - 1)
    key_prefix: str
    """S3 prefix, ending in `/`, below which this session may write."""
    exact: bool = False
    """Share no pass with another session, so that the same seed gives the same bytes."""
    resume: ResumePoint | None = None
    """Go on from this state, whatever the weights began with; only for equal base, tuning, seed."""


class SessionOpened(Message):
    """The session is ready for commands with `seq` from `next_seq`."""

    session: str
    base_digest: str
    trainable_parameters: int
    next_seq: int
    environment: dict[str, str] = Field({})
    """What results depend on beside the request: device, dtype, threads, versions of libraries."""


class TrainingRow(Message):
    """One example, as token ids."""

    line: int
    """1-based line of the data set, echoed in results and part of the dropout's random key."""
    group: int
    """Rows of one group stay in one micro-batch."""
    tokens: tuple[int, ...]
    weights: tuple[float, ...]
    """Same length; weights[i] counts the prediction of tokens[i] from tokens[:i], weights[0]=0."""
    extras: Extras | None = None
    """What the loss needs beside them."""


Report = Literal["logprobs", "values", "scores"]
"""logprobs, values: one for each token with a weight above zero. scores: the head's numbers."""


class _Compute(Message):
    seq: int = Field(ge=1)
    step: int = Field(ge=0)
    """Optimizer step being prepared; part of every random key."""
    loss: Loss = CrossEntropy()
    normalizer: float = Field(gt=0)
    """Gradient = weighted sum / normalizer, so splitting a batch changes nothing."""
    rows: tuple[TrainingRow, ...]


class ForwardBackward(_Compute):
    """Add the rows' gradient to the session's."""

    op: Literal["forward_backward"] = "forward_backward"


class Forward(_Compute):
    """Measure only: no gradient, no dropout."""

    op: Literal["forward"] = "forward"
    report: tuple[Report, ...] = ()
    """What to tell of each row beside its loss."""
    at_start: bool = False
    """Measure the weights that the session began with: the reference of a policy."""


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
    """adapter: the delta's files under `{prefix}{name}/adapter/`. state: weights and optimizer
    moments under `{prefix}{name}/state/`, enough to go on."""
    temperature: float = Field(1.0, gt=0)
    """Divides a classification head's logits wherever it is served (Guo et al. 2017)."""


class SamplePrompt(Message):
    """A prompt to be answered with the session's weights as they are."""

    line: int
    """1-based line of the data set; part of the sampling's random key."""
    tokens: tuple[int, ...] = Field(min_length=1)


class Sample(Message):
    """Draw `n` answers to each prompt. `sampling.seed` is ignored: a draw is a function of the
    session's seed, `step`, the prompt's line and the answer's index."""

    op: Literal["sample"] = "sample"
    seq: int = Field(ge=1)
    step: int = Field(ge=0)
    prompts: tuple[SamplePrompt, ...]
    n: int = Field(1, ge=1, le=128)
    sampling: Sampling


Command = Annotated[
    ForwardBackward | Forward | OptimStep | Save | Sample, Field(discriminator="op")
]


class CommandBatch(Message):
    """Commands with consecutive `seq`, appended to the session's queue."""

    commands: tuple[Command, ...]


class CommandsAccepted(Message):
    next_seq: int


class RowLoss(Message):
    """What one row contributed."""

    line: int
    loss: float
    """Weighted sum of negative log-likelihoods, nats, before the normalizer; of other losses the
    row's share, a pair's being its chosen row's."""
    weight: float
    """What the loss counts of the row: Σ weight of its tokens, of a labelled row its label's weight
    (1 of several labels), of a pair 1 at the chosen row and 0 at the rejected."""
    correct: int
    """Trained tokens whose greedy prediction was right; of a pair (at its chosen row) or a labelled
    row 1 or 0."""
    trained_tokens: int
    """Tokens with a weight above zero."""
    metrics: dict[str, float] = Field({})
    """What else the loss tells of the row. dpo, ipo, simpo (of a pair at its chosen row):
    `reward_margin`, `chosen_reward`, `rejected_reward`; bradley_terry: `margin`, `chosen_score`,
    `rejected_score`; policy (means over the row's tokens): `ratio`, `clip_fraction`, `old_kl`,
    `policy_loss`, `entropy`, and where the row says what they need `kl`, `value`, `value_loss`."""
    logprobs: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()


class ForwardDone(Message):
    """Result of `forward_backward` and `forward`."""

    kind: Literal["forward_done"] = "forward_done"
    seq: int
    rows: tuple[RowLoss, ...]
    tokens: int
    """Tokens computed, trained or not."""
    seconds: float
    is_mixed: bool = False
    """Whether other sessions' rows were in the same passes."""


class OptimStepDone(Message):
    kind: Literal["optim_step_done"] = "optim_step_done"
    seq: int
    grad_norm: float | None
    """Before clipping. None when it was not finite (JSON has no NaN)."""
    skipped: bool


class SampledAnswer(Message):
    """One answer to one prompt."""

    line: int
    index: int
    """0 to n − 1."""
    tokens: tuple[int, ...]
    """With the stop token that ended it, since ending is what a policy does too."""
    logprobs: tuple[float, ...]
    """Of each token, as the sampler computed them, before any sampling option."""
    reason: FinishReason


class SampleDone(Message):
    kind: Literal["sample_done"] = "sample_done"
    seq: int
    answers: tuple[SampledAnswer, ...]
    """In the order of prompts, then of indices."""
    seconds: float


class SaveSnapshotTaken(Message):
    kind: Literal["save_snapshot_taken"] = "save_snapshot_taken"
    seq: int


class StoredFile(Message):
    """A file below the session's key prefix."""

    name: str
    """Path below `{prefix}{save.name}/`, such as `adapter/adapter_model.safetensors`."""
    bytes: int
    sha256: str
    key: str | None = None
    """Where it lies if not there: a frozen file shared with the delta that training began with."""


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
    ForwardDone | OptimStepDone | SampleDone | SaveSnapshotTaken | SaveStored | CommandFailed,
    Field(discriminator="kind"),
]


class ResultBatch(Message):
    """Results in the order they happened. `cursor` is the next poll's `after`."""

    results: tuple[Result, ...]
    cursor: int
