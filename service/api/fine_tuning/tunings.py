"""Wire shape of `tuning`: what of the model is trained."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from service.api.wire import Answer, RequestBody
from service.core.domain import tunings as domain
from service.core.domain.methods import MethodType
from service.core.errors import InvalidRequest, UnsupportedParameter

_Pattern = Annotated[str, Field(min_length=1, max_length=128)]
_Patterns = Annotated[list[_Pattern], Field(min_length=1, max_length=64)]

_Widths = Annotated[list[Annotated[int, Field(ge=1, le=16_384)]], Field(max_length=8)]

_MEMBERS: Mapping[str, frozenset[str]] = {
    "lora": frozenset({"rank", "alpha", "dropout", "target_modules", "use_dora", "use_rslora"}),
    "full": frozenset(),
    "partial": frozenset({"last_n_layers", "trainable"}),
    "head": frozenset({"hidden_layers", "dropout"}),
}
_REFUSED = {
    "qlora": "Adapters over a quantised base are not trained here; the base lies once in memory "
    "for all jobs. Use 'lora'.",
}


class Tuning(RequestBody):
    """A type, and the members that belong to it."""

    model_config = ConfigDict(extra="allow")

    type: str = "lora"
    rank: Annotated[int, Field(ge=1, le=256)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """0 for an adapter, 0.1 for a head."""
    target_modules: Literal["all-linear"] | _Patterns = "all-linear"
    use_dora: bool = False
    use_rslora: bool = False
    last_n_layers: Annotated[int, Field(ge=1)] | None = None
    trainable: _Patterns | None = None
    """Patterns of parameter names."""
    hidden_layers: _Widths = Field([])
    """Widths; none is a linear head."""

    def check_supported(self) -> None:
        """Raises UnsupportedParameter for an unknown type, or a member of another type."""
        if self.type not in _MEMBERS:
            raise UnsupportedParameter(
                f"Unsupported value for 'tuning.type': {self.type!r}. "
                + _REFUSED.get(self.type, f"This server trains {', '.join(map(repr, _MEMBERS))}."),
                param="tuning.type",
            )
        for name in sorted(self.model_fields_set - {"type"} - _MEMBERS[self.type]):
            raise UnsupportedParameter(
                f"Unsupported parameter: 'tuning.{name}' does not belong to the type "
                f"{self.type!r}.",
                param=f"tuning.{name}",
            )

    def to_domain(self) -> domain.TuningSpec:
        """Raises UnsupportedParameter, InvalidRequest."""
        self.check_supported()
        match self.type:
            case "full":
                return domain.FullTuningSpec()
            case "partial":
                return self._partial()
            case "head":
                dropout = 0.1 if self.dropout is None else self.dropout
                return domain.HeadTuningSpec(tuple(self.hidden_layers), dropout)
        modules = self.target_modules
        return domain.LoraTuningSpec(
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout or 0.0,
            target_modules=modules if modules == "all-linear" else tuple(modules),
            use_rslora=self.use_rslora,
            use_dora=self.use_dora,
        )

    def _partial(self) -> domain.PartialTuningSpec:
        if (self.last_n_layers is None) == (self.trainable is None):
            raise InvalidRequest(
                "'tuning' of the type 'partial' says which weights are trained: give either "
                "'last_n_layers' or 'trainable'.",
                param="tuning",
            )
        return domain.PartialTuningSpec(self.last_n_layers, tuple(self.trainable or ()))


def check_combination(method: MethodType, tuning: domain.TuningSpec) -> None:
    """Raises UnsupportedParameter for a tuning that the method cannot use."""
    if tuning.type == "head" and method not in ("classification", "reward_model"):
        raise UnsupportedParameter(
            f"Unsupported value for 'tuning.type': a head alone says no text, so {method!r} cannot "
            "train it; 'classification' and 'reward_model' can.",
            param="tuning.type",
        )
    if tuning.type != "lora" and method in ("reinforcement", "rlhf"):
        raise UnsupportedParameter(
            f"Unsupported value for 'tuning.type': {method!r} trains 'lora' only, because the "
            "untouched model must stay at hand as its reference.",
            param="tuning.type",
        )


class TuningObject(Answer):
    """What is trained: the type, and the members that belong to it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Literal["lora", "full", "partial", "head"]

    @classmethod
    def from_domain(cls, tuning: domain.TuningSpec) -> "TuningObject":
        members: dict[str, Any] = asdict(tuning)
        if isinstance(tuning, domain.PartialTuningSpec):
            members = {name: value for name, value in members.items() if value}
        return cls.model_validate(members)
