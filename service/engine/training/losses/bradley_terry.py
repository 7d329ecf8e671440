"""A reward model from comparisons. Bradley & Terry 1952; Ouyang et al. 2022, equation 1."""

from torch.nn import functional as F

from service.engine.training.losses.measured import Measured, Shares
from service.engine.training.losses.pairs import Pairs


def bradley_terry(found: Measured) -> Shares:
    """−log σ(score of the chosen row − score of the rejected)."""
    assert found.scores is not None
    pairs = Pairs.of(found.rows, found.scores.device)
    chosen, rejected = pairs.split(found.scores[:, 0])
    margin = chosen - rejected
    return pairs.shares(
        -F.logsigmoid(margin),
        margin,
        {"margin": margin, "chosen_score": chosen, "rejected_score": rejected},
    )
