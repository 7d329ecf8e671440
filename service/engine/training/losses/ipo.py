"""Identity preference optimization. Azar et al. 2023, equation 17."""

from service.core.engine_protocol import Ipo
from service.engine.training.losses.measured import Measured, Shares
from service.engine.training.losses.pairs import Pairs, reference_sums


def ipo(config: Ipo, found: Measured) -> Shares:
    """(margin − 1 / 2β)², of log-probabilities a token, so that a long answer's do not outweigh a
    short one's. Rewards are β · (log p − log p of the reference), a token."""
    device = found.logprobs.device
    pairs = Pairs.of(found.rows, device)
    gains = found.per_token(found.row_logprobs - reference_sums(found.rows, device))
    chosen, rejected = pairs.split(gains)
    margin = chosen - rejected
    return pairs.shares(
        (margin - 1 / (2 * config.beta)).square(),
        margin,
        {
            "reward_margin": config.beta * margin,
            "chosen_reward": config.beta * chosen,
            "rejected_reward": config.beta * rejected,
        },
    )
