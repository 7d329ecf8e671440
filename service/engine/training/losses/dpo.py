"""Direct preference optimization. Rafailov et al. 2023, equation 7."""

from torch.nn import functional as F

from service.core.engine_protocol import Dpo
from service.engine.training.losses.measured import Measured, Shares
from service.engine.training.losses.pairs import Pairs, reference_sums


def dpo(config: Dpo, found: Measured) -> Shares:
    """−log σ(β · margin), the margin being how much further than the reference the policy prefers
    the chosen row. Rewards are β · (log p − log p of the reference)."""
    device = found.logprobs.device
    pairs = Pairs.of(found.rows, device)
    rewards = config.beta * (found.row_logprobs - reference_sums(found.rows, device))
    chosen, rejected = pairs.split(rewards)
    margin = chosen - rejected
    chosen_logprob, rejected_logprob = pairs.split(found.row_logprobs)
    return pairs.shares(
        -F.logsigmoid(margin),
        margin,
        {
            "reward_margin": margin,
            "chosen_reward": chosen,
            "rejected_reward": rejected,
            "chosen_logprob": chosen_logprob,
            "rejected_logprob": rejected_logprob,
        },
    )
