"""A machine whose laws are known, and jobs for it."""

from array import array
from itertools import count

from service.core.domain.methods import Method, SupervisedMethod
from service.core.domain.tunings import LoraTuningSpec, TuningSpec
from service.core.engine_protocol import Calibration, Law, ModelShapes, NamedShape
from service.core.estimates import Setting, SizedExample, trainable_parameters
from service.core.hyperparameters import (
    DataSizes,
    Hyperparameters,
    ResolvedHyperparameters,
    resolve,
)

_firsts = count(1)

SHAPES = ModelShapes(
    parameters=(
        NamedShape(name="model.embed_tokens.weight", count=0, shape=(1000, 64)),
        NamedShape(name="model.layers.{}.self_attn.q_proj.weight", count=4, shape=(64, 64)),
        NamedShape(name="model.layers.{}.mlp.up_proj.weight", count=4, shape=(256, 64)),
        NamedShape(name="model.norm.weight", count=0, shape=(64,)),
    ),
    linears=(
        NamedShape(name="model.layers.{}.self_attn.q_proj", count=4, shape=(64, 64)),
        NamedShape(name="model.layers.{}.mlp.up_proj", count=4, shape=(256, 64)),
    ),
    layers=(64 * 64 + 256 * 64,) * 4,
    behind=(NamedShape(name="model.norm.weight", count=0, shape=(64,)),),
    hidden=64,
    vocabulary=1000,
    element_bytes=4,
)

COEFFICIENTS = {
    "lora": (0.01, 2.0, 0.5, 0.3, 0.2),
    "overlay": (0.01, 1.0, 0.5, 0.3, 0.2, 1.5),
    "head": (0.001, 0.002, 0.7),
    "measure": (0.005, 0.7, 0.2, 0.1),
    "optimizer": (0.001, 0.8),
    "save": (0.01, 0.5),
    "sample": (0.1, 2.0, 0.4, 0.2),
    "session": (1.0, 0.5, 1.0),
    "memory": (1.1, 0.9, 1.0),
}


def calibration(
    *, digest: str = "f" * 64, base: str = "smollm2-135m-instruct", spread: float = 0.05
) -> Calibration:
    laws = {
        name: Law(coefficients=values, spread=spread, observations=20)
        for name, values in COEFFICIENTS.items()
    }
    return Calibration(
        base=base,
        digest=digest,
        device="cpu (test)",
        laws=laws,
        resident_bytes=500_000_000,
        micro_batch_tokens=512,
        shapes=SHAPES,
    )


def numbers_of(
    examples: list[SizedExample], method: Method, tuning: TuningSpec, asked: Hyperparameters
) -> ResolvedHyperparameters:
    return resolve(
        asked,
        method=method.type,
        tuning=tuning,
        sizes=DataSizes(len(examples), sum(example.tokens for example in examples)),
        parameters=1000,
        context_length=8192,
    )


def setting(
    examples: list[SizedExample],
    *,
    method: Method | None = None,
    tuning: TuningSpec | None = None,
    asked: Hyperparameters | None = None,
    labels: int = 1,
) -> Setting:
    method, tuning = method or SupervisedMethod(), tuning or LoraTuningSpec()
    trained = trainable_parameters(tuning, SHAPES, labels=labels)
    numbers = numbers_of(
        examples, method, tuning, asked or Hyperparameters(batch_size=4, n_epochs=2)
    )
    return Setting(method, trained, numbers, 512)


def chats(number: int, *, tokens: int = 50, weighed: int = 10) -> list[SizedExample]:
    return [example(tokens, weighed=weighed) for _ in range(number)]


def example(*lengths: int, weighed: int) -> SizedExample:
    """Rows that begin with tokens of their own."""
    rows = tuple(array("i", [next(_firsts)]) * length for length in lengths)
    return SizedExample(rows, weighed)
