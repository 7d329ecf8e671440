"""How many examples a job needs."""

from service.core.domain.methods import MethodType


def minimum_examples(method: MethodType) -> int:
    """Fewer make no job."""
    return 1 if method == "unsupervised" else 10
