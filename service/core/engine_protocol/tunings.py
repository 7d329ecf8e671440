"""What a training session trains: an adapter, weights of the base, a head, or adapter and head."""

from typing import Annotated, Literal

from pydantic import Field

from service.core.engine_protocol.models import Message


class LoraTuning(Message):
    """A low-rank adapter (Hu et al. 2021): W + (alpha / rank) · B·A on the chosen linear layers."""

    type: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1, le=1024)
    """Up to 256 are trained; adapters that were trained one on the other are served together."""
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    use_rslora: bool = False
    """Scale by alpha / √rank instead (Kalajdzievski 2023)."""
    use_dora: bool = False
    """Weight-decomposed: a trained magnitude for each output (Liu et al. 2024)."""


class FullTuning(Message):
    """Every weight of the base."""

    type: Literal["full"] = "full"


class PartialTuning(Message):
    """Some weights of the base; what lies below the lowest of them stays frozen and is shared."""

    type: Literal["partial"] = "partial"
    last_n_layers: int | None = Field(None, ge=1)
    """The last decoder layers, with the last norm and, unless it is the embedding, the head …"""
    trainable: tuple[str, ...] = ()
    """… or patterns (`fnmatch`) of parameter names."""


class HeadTuning(Message):
    """Nothing but the session's head: the base gives its features, frozen."""

    type: Literal["head"] = "head"


Tuning = Annotated[
    LoraTuning | FullTuning | PartialTuning | HeadTuning, Field(discriminator="type")
]


class HeadSpec(Message):
    """Fully connected layers on hidden states of the base, trained in fp32.

    `classification`: a logit for each label, over a row's pooled states. `reward`: one number,
    likewise. `value`: one number at every token.
    """

    kind: Literal["classification", "reward", "value"]
    labels: tuple[str, ...] = ()
    """In the order of the logits; of a `classification` alone."""
    multi_label: bool = False
    hidden_layers: tuple[int, ...] = ()
    """Widths of the layers before the last, each followed by GELU."""
    dropout: float = Field(0.0, ge=0, lt=1)
    pooling: Literal["last", "mean"] = "last"

    @property
    def outputs(self) -> int:
        """Numbers it gives."""
        return len(self.labels) if self.kind == "classification" else 1
