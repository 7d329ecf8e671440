"""The closed set of losses, a file each, and what they are computed from."""

from service.engine.training.losses.measured import Measured, Shares
from service.engine.training.losses.table import Needs, apply_loss, check_rows
from service.engine.training.losses.vocabulary import (
    VocabularyHead,
    score_and_differentiate,
    score_tokens,
)

__all__ = [
    "Measured",
    "Needs",
    "Shares",
    "VocabularyHead",
    "apply_loss",
    "check_rows",
    "score_and_differentiate",
    "score_tokens",
]
