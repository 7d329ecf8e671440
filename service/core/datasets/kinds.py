"""What each method's rows are."""

from collections.abc import Mapping

from service.core.datasets.rows import RowKind
from service.core.domain.methods import MethodType

ROW_KINDS: Mapping[MethodType, RowKind] = {
    "supervised": RowKind.CONVERSATION,
    "unsupervised": RowKind.TEXT,
    "classification": RowKind.LABELLED,
    "dpo": RowKind.PREFERENCE,
    "reward_model": RowKind.PREFERENCE,
    "reinforcement": RowKind.PROMPT,
    "rlhf": RowKind.PROMPT,
}


def minimum_examples(method: MethodType) -> int:
    """Fewer make no job."""
    return 1 if method == "unsupervised" else 10
