"""Wire shape of `method`: one object for each way to train, asked for and answered alike."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SerializeAsAny, TypeAdapter, model_serializer

from service.api.chat.response_format import ResponseFormat
from service.api.fine_tuning.hyperparameters import (
    DpoHyperparameters,
    Hyperparameters,
    ReinforcementHyperparameters,
    RlhfHyperparameters,
)
from service.api.wire import RequestBody
from service.core.domain import methods as domain
from service.core.domain.jobs import FineTuningJob
from service.core.errors import InvalidRequest, UnsupportedParameter
from service.core.graders import Grader, check_grader

_FileId = Annotated[str, Field(min_length=1, max_length=64)]
_ModelName = Annotated[str, Field(min_length=1, max_length=256)]
_Label = Annotated[str, Field(min_length=1, max_length=256)]


_GRADER: TypeAdapter[Grader] = TypeAdapter(Grader)
_FORMAT: TypeAdapter[ResponseFormat] = TypeAdapter(ResponseFormat)


class Options(RequestBody):
    """Of methods that have none of their own."""

    hyperparameters: Hyperparameters | None = None

    def own(self) -> dict[str, Any]:
        """The options of the method, and its own hyperparameters."""
        members = {
            name: getattr(self, name)
            for name in type(self).model_fields
            if name != "hyperparameters"
        }
        return members | (self.hyperparameters.own() if self.hyperparameters else {})

    @classmethod
    def from_domain(cls, job: FineTuningJob) -> "Options":
        values = {
            name: value for name, value in asdict(job.method).items() if name in cls.model_fields
        }
        return cls.model_construct(hyperparameters=hyperparameters_of(job), **values)


class UnsupervisedOptions(Options):
    """Options of continued pretraining."""

    replay_file: _FileId | None = None
    """General text that is mixed in against forgetting."""
    replay_ratio: Annotated[float, Field(ge=0, le=0.9)] | None = None
    """Its share of all tokens; a tenth if there is a file."""


class ClassificationOptions(Options):
    """Options of a classifier."""

    class_weights: Literal["balanced"] | dict[_Label, Annotated[float, Field(gt=0)]] | None = None
    pooling: Literal["last", "mean"] = "last"


class DpoOptions(Options):
    """Options of preference optimisation."""

    hyperparameters: DpoHyperparameters | None = None
    loss: Literal["dpo", "ipo", "simpo"] = "dpo"


class ReinforcementOptions(Options):
    """Options of reinforcement fine-tuning."""

    hyperparameters: ReinforcementHyperparameters | None = None
    grader: Grader
    response_format: ResponseFormat | None = None

    @classmethod
    def from_domain(cls, job: FineTuningJob) -> "Options":
        method = job.method
        assert isinstance(method, domain.ReinforcementMethod)
        form = method.response_format
        return cls.model_construct(
            hyperparameters=ReinforcementHyperparameters.from_domain(job),
            grader=_GRADER.validate_python(dict(method.grader)),
            response_format=None if form is None else _FORMAT.validate_python(dict(form)),
        )


class RlhfOptions(Options):
    """Options of reinforcement learning from a reward model."""

    hyperparameters: RlhfHyperparameters | None = None
    reward_model: _ModelName
    """A trained reward model."""


_OPTIONS: Mapping[str, type[Options]] = {
    "supervised": Options,
    "dpo": DpoOptions,
    "reinforcement": ReinforcementOptions,
    "unsupervised": UnsupervisedOptions,
    "classification": ClassificationOptions,
    "reward_model": Options,
    "rlhf": RlhfOptions,
}
_HYPERPARAMETERS: Mapping[str, type[Hyperparameters]] = {
    "dpo": DpoHyperparameters,
    "reinforcement": ReinforcementHyperparameters,
    "rlhf": RlhfHyperparameters,
}


class Method(RequestBody):
    """How the model is trained: a type, and under its name its options."""

    model_config = ConfigDict(extra="allow")

    type: str
    supervised: SerializeAsAny[Options] | None = None
    dpo: DpoOptions | None = None
    reinforcement: ReinforcementOptions | None = None
    unsupervised: UnsupervisedOptions | None = None
    classification: ClassificationOptions | None = None
    reward_model: SerializeAsAny[Options] | None = None
    rlhf: RlhfOptions | None = None

    def check_supported(self) -> None:
        """Raises UnsupportedParameter for an unknown type, and for options of another."""
        if self.type not in _OPTIONS:
            raise UnsupportedParameter(
                f"Unsupported value for 'method.type': {self.type!r}. This server trains with "
                f"{', '.join(map(repr, _OPTIONS))}.",
                param="method.type",
            )
        given = [name for name in _OPTIONS if getattr(self, name) is not None]
        for name in [*given, *(self.model_extra or {})]:
            if name != self.type:
                raise UnsupportedParameter(
                    f"Unsupported parameter: 'method.{name}' does not belong to the method "
                    f"{self.type!r}.",
                    param=f"method.{name}",
                )

    @property
    def options(self) -> Options | None:
        """Those of its type."""
        options: Options | None = getattr(self, self.type)
        return options

    def to_domain(self) -> domain.Method:
        """Raises InvalidRequest where options are missing or contradict each other."""
        match self.options:
            case ReinforcementOptions() as options:
                return _reinforcement(options)
            case RlhfOptions() as options:
                return domain.RlhfMethod(**options.own())
            case DpoOptions() as options:
                return _dpo(options)
            case UnsupervisedOptions() as options:
                return _unsupervised(options)
            case ClassificationOptions() as options:
                return domain.ClassificationMethod(**options.own())
        return self._without_options()

    def _without_options(self) -> domain.Method:
        match self.type:
            case "unsupervised":
                return domain.UnsupervisedMethod()
            case "classification":
                return domain.ClassificationMethod()
            case "dpo":
                return domain.DpoMethod()
            case "reward_model":
                return domain.RewardModelMethod()
            case "reinforcement" | "rlhf":
                needed = "grader" if self.type == "reinforcement" else "reward_model"
                raise InvalidRequest(
                    f"The method {self.type!r} needs 'method.{self.type}.{needed}'.",
                    param=f"method.{self.type}.{needed}",
                )
        return domain.SupervisedMethod()

    @classmethod
    def from_domain(cls, job: FineTuningJob) -> "Method":
        name = job.method.type
        members: dict[str, Any] = {"type": name, name: _OPTIONS[name].from_domain(job)}
        return cls.model_construct(**members)

    @model_serializer(mode="wrap")
    def _without_absent(self, dump: Any) -> dict[str, Any]:
        """The type and its own options, and not null for the other six."""
        return {name: value for name, value in dump(self).items() if value is not None}


def hyperparameters_of(job: FineTuningJob) -> Hyperparameters:
    """As the job's method has them."""
    return _HYPERPARAMETERS.get(job.method.type, Hyperparameters).from_domain(job)


def _dpo(options: DpoOptions) -> domain.DpoMethod:
    given = options.own()
    if options.loss == "simpo":
        return domain.DpoMethod(**{"beta": 2.0, **given})
    if "gamma" in given:
        raise InvalidRequest(
            "'gamma' is the margin of the loss 'simpo'; leave it out or choose that loss.",
            param="method.dpo.hyperparameters.gamma",
        )
    return domain.DpoMethod(**given)


def _unsupervised(options: UnsupervisedOptions) -> domain.UnsupervisedMethod:
    if options.replay_ratio is not None and options.replay_file is None:
        raise InvalidRequest(
            "'replay_ratio' is the share of the text of 'replay_file'; name that file too.",
            param="method.unsupervised.replay_ratio",
        )
    default = 0.1 if options.replay_file else 0.0
    ratio = default if options.replay_ratio is None else options.replay_ratio
    return domain.UnsupervisedMethod(options.replay_file, ratio)


def _reinforcement(options: ReinforcementOptions) -> domain.ReinforcementMethod:
    check_grader(options.grader)
    given = options.own() | {"grader": options.grader.model_dump(mode="json")}
    if given.get("reasoning_effort", "default") != "default":
        raise UnsupportedParameter(
            "Unsupported parameter: 'reasoning_effort'. How long a model here reasons is its own "
            "affair; leave it out.",
            param="method.reinforcement.hyperparameters.reasoning_effort",
        )
    if options.response_format is not None:
        given["response_format"] = options.response_format.model_dump(mode="json", by_alias=True)
    return domain.ReinforcementMethod(**given)
