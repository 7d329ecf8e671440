"""Micro-batches of a job that trains a head alone: no pass over the base but for its features."""

import torch

from service.core.engine_protocol import BradleyTerry, Classification, Loss, Report
from service.core.errors import InvalidRequest
from service.engine.training.features import FeatureCache
from service.engine.training.losses import Measured, apply_loss
from service.engine.training.pass_parts import PartOutcome, PassPart
from service.engine.training.reports import report_rows


def measure_head(part: PassPart, features: FeatureCache) -> PartOutcome:
    """Losses alone, without dropout."""
    with torch.inference_mode():
        return _compute(part, features, differentiate=False)


def measure_and_differentiate_head(part: PassPart, features: FeatureCache) -> PartOutcome:
    """Losses and gradients, which are added to nothing yet."""
    with torch.enable_grad():
        return _compute(part, features, differentiate=True)


def check_reads_head(loss: Loss, report: tuple[Report, ...]) -> None:
    """Raises InvalidRequest for what needs the base's own predictions."""
    if not isinstance(loss, BradleyTerry | Classification) or "logprobs" in report:
        raise InvalidRequest(
            f"a session that trains a head alone does not compute {loss.type!r}; it knows "
            "'classification' and 'bradley_terry', and no log-probabilities"
        )


def _compute(part: PassPart, features: FeatureCache, *, differentiate: bool) -> PartOutcome:
    head = part.model.head
    assert head is not None
    x = features.get([row.tokens for row in part.rows])
    ones = [1] * len(part.rows)
    keys = part.head_dropout if differentiate else None
    scores = head.head.apply(
        part.model.head_tensors, x, keys.masks(head, part.rows, ones) if keys else None
    )
    nothing = torch.empty(0, device=x.device)
    found = Measured(
        rows=part.rows,
        row_of=torch.empty(0, dtype=torch.long, device=x.device),
        weights=nothing,
        logprobs=nothing,
        is_correct=nothing,
        scores=scores,
    )
    shares = apply_loss(part.loss, part.spec, found)
    gradients = None
    if differentiate:
        total = shares.loss.sum() / part.normalizer
        gradients = torch.autograd.grad(total, list(part.model.weights.leaves))
    return PartOutcome(report_rows(found, shares, [0] * len(part.rows), part.report), gradients)
