"""Models on their way in and out: what an adapter must fit, whether it computes, and exports.

An export runs beside the step loop and is looked at until it ends; starting one again under the
same id finds the first.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from service.core.engine_protocol.models import ErrorBody, Message, ModelRef
from service.core.engine_protocol.training import StoredFile

MAX_PROBED_TOKENS = 512
"""Of all rows together; each needs a row of logits over the whole vocabulary."""


class BaseShapes(Message):
    """The linear layers of a base on which an adapter may sit."""

    digest: str
    linears: dict[str, tuple[int, int]]
    """Module name → (out_features, in_features)."""


class ProbeRequest(Message):
    """Compute some rows with and without an adapter, and by its definition."""

    model: ModelRef
    rows: tuple[tuple[int, ...], ...] = Field(min_length=1)


class Comparison(Message):
    """Two models' logits on the same tokens. A difference is that of a token's logits, each less
    their mean, as a share of their norm."""

    tokens: int
    median_difference: float
    largest_difference: float
    top_token_agreement: float
    """Share of the tokens after which both find the same next token most likely."""
    difference_from_base: float
    """The mean difference of the second model from the base without any delta."""
    effect: float
    """The mean difference that the delta makes to the base in the first model."""
    bound: float
    """Upper bound of the median difference: the noise of the number formats compared."""
    formats: tuple[str, str]
    """Number formats of the two."""
    is_parity: bool
    """Whether the median difference stays within the bound, and the second model lies nearer to
    the first than to the base, which a delta that was forgotten would not. An effect below half
    the bound is lost in the noise, and nearness is not asked for."""


class Probed(Message):
    """How the served model compares with W + scaling · B·A computed in fp32 layer by layer."""

    is_finite: bool
    comparison: Comparison | None
    """None when a logit is not finite."""


class ExportFormat(StrEnum):
    """What an export is written as."""

    PEFT = "peft"
    MERGED = "merged"
    GGUF = "gguf"


class Dialogue(Message):
    """A prompt and its ids as the service renders it. Without messages it is plain text."""

    messages: tuple[dict[str, Any], ...]
    tokens: tuple[int, ...]


class ExportRequest(Message):
    """Write a model as a file under `key`, unless it turns out to compute something else."""

    id: str
    model: ModelRef
    format: ExportFormat
    key: str
    dialogues: tuple[Dialogue, ...] = Field(min_length=1)
    end_tokens: tuple[int, ...]
    """Every id that ends a turn here; the export must name one of them."""


class ExportState(Message):
    """How far an export is."""

    id: str
    status: Literal["running", "stored", "failed"]
    progress: float = 0.0
    """From 0 to 1."""
    file: StoredFile | None = None
    """`name` is the file's name for people."""
    certificate: dict[str, Any] | None = None
    error: ErrorBody | None = None
