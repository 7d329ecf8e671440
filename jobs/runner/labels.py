"""Whether the labels of a classification's files can be learned and measured."""

from collections.abc import Mapping
from typing import Protocol

from jobs.runner.inputs import TRAINING, VALIDATION, Inputs
from service.core.datasets import RowKind, invalid_file
from service.core.domain.methods import ClassificationMethod


class Labelled(Protocol):
    """What a file's rows were found to have."""

    labels: set[str]
    is_multi_label: bool


def check_labels(inputs: Inputs, training: Labelled, held_out: Labelled | None) -> None:
    """Of other methods nothing. Raises InvalidTrainingFile, InvalidValidationFile."""
    if inputs.kind is not RowKind.LABELLED:
        return
    if len(training.labels) < 2:
        raise invalid_file(
            "Every row of the training file has the same label, so there is nothing to tell "
            "apart; add rows of another.",
            param=TRAINING,
        )
    if held_out is not None:
        _check_held_out(training, held_out)
    method = inputs.job.method
    weights = method.class_weights if isinstance(method, ClassificationMethod) else None
    strangers = sorted(set(weights) - training.labels) if isinstance(weights, Mapping) else []
    if strangers:
        raise invalid_file(
            f"'class_weights' has a weight for {strangers[0]!r}, which is the label of no row.",
            param=TRAINING,
        )


def _check_held_out(training: Labelled, held_out: Labelled) -> None:
    if held_out.is_multi_label != training.is_multi_label:
        raise invalid_file(
            "One of the files gives each row a label, and the other a list of labels; write both "
            "in the same way.",
            param=VALIDATION,
        )
    unknown = sorted(held_out.labels - training.labels)
    if unknown:
        raise invalid_file(
            f"The label {unknown[0]!r} is in no row of the training file, so it cannot be learned; "
            "add such rows or take it out of the validation file.",
            param=VALIDATION,
        )
