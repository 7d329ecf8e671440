"""Refusing hyperparameters that the job's method would never look at.

Whoever sets one expects it to do something, so one that cannot is an error and not a remark.
"""

from collections.abc import Iterator

from service.core.domain.methods import Method, ReinforcementMethod, RlhfMethod
from service.core.errors import InvalidHyperparameter
from service.core.hyperparameters.requested import Hyperparameters

Misfit = tuple[str, str]
"""A hyperparameter, and why it would do nothing."""


def check_used(asked: Hyperparameters, method: Method, *, is_validated: bool) -> None:
    """`is_validated`: whether there is a validation file. Raises InvalidHyperparameter."""
    for name, reason in _misfits(asked, method, is_validated=is_validated):
        raise InvalidHyperparameter(f"{name!r} {reason}.", param=f"hyperparameters.{name}")


def _misfits(asked: Hyperparameters, method: Method, *, is_validated: bool) -> Iterator[Misfit]:
    if isinstance(method, ReinforcementMethod | RlhfMethod):
        yield from _of_policies(asked, method)
    if method.type not in ("supervised", "unsupervised") and asked.max_tokens_per_step is not None:
        yield "max_tokens_per_step", f"is of 'supervised' and 'unsupervised', not {method.type!r}"
    if method.type == "unsupervised" and asked.over_length != "error":
        yield "over_length", "does nothing to raw text, which is split; leave it out"
    if not is_validated:
        yield from _of_evaluations(asked, method)


def _of_policies(
    asked: Hyperparameters, method: ReinforcementMethod | RlhfMethod
) -> Iterator[Misfit]:
    kind = repr(method.type)
    if asked.packing is True:
        yield "packing", f"joins short rows, and {kind} learns from answers; leave it out"
    if asked.over_length == "truncate":
        yield "over_length", "cannot cut a prompt, which ends with its question; use 'skip'"
    if asked.early_stopping_patience is not None:
        yield (
            "early_stopping_patience",
            f"counts losses of a validation file, and {kind} has rewards; leave it out",
        )
    match method:
        case RlhfMethod(rollout_batch_size=answers):
            if asked.batch_size != "auto" and asked.batch_size > answers:
                yield "batch_size", f"is above the {answers} answers of 'rollout_batch_size'"
        case ReinforcementMethod(eval_interval=interval):
            if interval is not None and asked.eval_steps not in ("auto", interval):
                yield "eval_steps", "says something else than 'eval_interval'; give one of them"


def _of_evaluations(asked: Hyperparameters, method: Method) -> Iterator[Misfit]:
    if asked.early_stopping_patience is not None:
        yield "early_stopping_patience", "needs a 'validation_file' to tell when to stop"
    needed = "needs a 'validation_file' to evaluate"
    if asked.eval_steps != "auto":
        yield "eval_steps", needed
    if isinstance(method, ReinforcementMethod):
        if method.eval_interval is not None:
            yield "eval_interval", needed
        if method.eval_samples != 1:
            yield "eval_samples", needed
