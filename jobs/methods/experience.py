"""What the weights that drew answers make of them."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jobs.methods.rollouts import Answer
from service.core.engine_protocol import RowLoss

_TRACES = 3
_TRACE_CHARACTERS = 2000


@dataclass(frozen=True)
class Experience:
    """Answers of a rollout with what the weights that drew them make of them."""

    answers: Sequence[Answer]
    old: Sequence[RowLoss]
    reference: Sequence[RowLoss]


def told_of(experience: Experience) -> dict[str, float]:
    """The rollout in numbers. KL of sampler to trainer by the estimate k3 (Schulman 2020)."""
    answers = experience.answers
    differences = [
        trained - sampled
        for answer, row in zip(answers, experience.old, strict=True)
        for sampled, trained in zip(answer.sampler_logprobs, row.logprobs, strict=True)
    ]
    rewards = [answer.reward for answer in answers]
    return {
        "train_reward_mean": statistics.fmean(rewards),
        "train_reward_std": statistics.pstdev(rewards),
        "train_completion_tokens": statistics.fmean(len(answer.tokens) for answer in answers),
        "train_cut_off": statistics.fmean(answer.reason == "length" for answer in answers),
        "sampler_trainer_kl": statistics.fmean(math.exp(d) - d - 1 for d in differences),
    }


def traces(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    return [
        {
            "line": answer.prompt.line,
            "answer": answer.text[:_TRACE_CHARACTERS],
            "reward": answer.reward,
            "tokens": len(answer.tokens),
        }
        for answer in answers[:_TRACES]
    ]
