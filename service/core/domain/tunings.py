"""What a job trains: an adapter, weights of the base, or a head alone."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LoraTuningSpec:
    """A low-rank adapter."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    use_rslora: bool = False
    use_dora: bool = False
    type: Literal["lora"] = "lora"

    @property
    def scale(self) -> float:
        """What the product of the two factors is multiplied with."""
        return self.alpha / (self.rank**0.5 if self.use_rslora else self.rank)


@dataclass(frozen=True)
class FullTuningSpec:
    """Every weight."""

    type: Literal["full"] = "full"


@dataclass(frozen=True)
class PartialTuningSpec:
    """The last layers, or the parameters that patterns name."""

    last_n_layers: int | None = None
    trainable: tuple[str, ...] = ()
    type: Literal["partial"] = "partial"


@dataclass(frozen=True)
class HeadTuningSpec:
    """Fully connected layers on the frozen model's hidden states."""

    hidden_layers: tuple[int, ...] = ()
    dropout: float = 0.1
    type: Literal["head"] = "head"


TuningSpec = LoraTuningSpec | FullTuningSpec | PartialTuningSpec | HeadTuningSpec
TuningType = Literal["lora", "full", "partial", "head"]
