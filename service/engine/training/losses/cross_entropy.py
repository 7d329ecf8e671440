"""Σ weight · −log p(token)."""

from service.engine.training.losses.measured import Measured, Shares


def cross_entropy(found: Measured) -> Shares:
    """Of each row; `correct` counts its tokens."""
    return Shares(
        loss=-found.row_logprobs,
        weight=found.row_weights,
        correct=found.add_up(found.is_correct.float()),
        metrics={},
    )
