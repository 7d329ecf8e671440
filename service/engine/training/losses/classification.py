"""Cross-entropy over a head's labels: one of them for a row, or any number."""

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from service.core.engine_protocol import Classification, HeadSpec, LabelExtras, TrainingRow
from service.core.errors import InvalidRequest
from service.engine.training.losses.measured import Measured, Shares


def classification(config: Classification, spec: HeadSpec, found: Measured) -> Shares:
    """A row's weight is its label's, as in torch; of several labels a row it is 1, and each label's
    weight stands before its binary cross-entropy."""
    assert found.scores is not None
    scores = found.scores
    weights = scores.new_tensor(config.label_weights or (1.0,) * spec.outputs)
    if spec.multi_label:
        target = _indicator(found.rows, scores)
        each = F.binary_cross_entropy_with_logits(scores, target, reduction="none")
        loss, weight = (weights * each).sum(-1), scores.new_ones(len(found.rows))
        correct = ((scores > 0) == (target > 0)).all(-1)
    else:
        label = torch.tensor(
            [labels_of(row)[0] for row in found.rows], dtype=torch.long, device=scores.device
        )
        weight = weights[label]
        loss = weight * F.cross_entropy(scores, label, reduction="none")
        correct = scores.argmax(-1) == label
    return Shares(loss, weight, correct.float(), metrics={})


def labels_of(row: TrainingRow) -> tuple[int, ...]:
    return row.extras.labels if isinstance(row.extras, LabelExtras) else ()


def check_labels(config: Classification, spec: HeadSpec, rows: Sequence[TrainingRow]) -> None:
    """Raises InvalidRequest unless every row has labels that the head knows."""
    if config.label_weights and len(config.label_weights) != spec.outputs:
        raise InvalidRequest(
            f"there are {len(config.label_weights)} label weights for {spec.outputs} labels"
        )
    for row in rows:
        if not isinstance(row.extras, LabelExtras):
            raise InvalidRequest(f"line {row.line}: this loss needs extras of kind 'label'")
        labels = row.extras.labels
        if not spec.multi_label and len(labels) != 1:
            raise InvalidRequest(f"line {row.line} has {len(labels)} labels instead of one")
        if not all(0 <= label < spec.outputs for label in labels):
            raise InvalidRequest(f"line {row.line} has a label that the head does not know")


def _indicator(rows: Sequence[TrainingRow], like: torch.Tensor) -> torch.Tensor:
    """(rows, labels): 1 where the row has the label."""
    target = torch.zeros_like(like)
    for at, row in enumerate(rows):
        for label in labels_of(row):
            target[at, label] = 1
    return target
