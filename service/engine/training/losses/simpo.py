"""Simple preference optimization, which needs no reference. Meng et al. 2024, equation 6."""

from torch.nn import functional as F

from service.core.engine_protocol import SimPo
from service.engine.training.losses.measured import Measured, Shares
from service.engine.training.losses.pairs import Pairs


def simpo(config: SimPo, found: Measured) -> Shares:
    """−log σ(β · margin − γ), the margin being the difference of log-probabilities a token.
    Rewards are β · log p a token."""
    pairs = Pairs.of(found.rows, found.logprobs.device)
    chosen, rejected = pairs.split(config.beta * found.mean_logprobs)
    margin = chosen - rejected
    return pairs.shares(
        -F.logsigmoid(margin - config.gamma),
        margin,
        {"reward_margin": margin, "chosen_reward": chosen, "rejected_reward": rejected},
    )
