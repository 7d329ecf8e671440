"""The clipped policy objective of PPO and GRPO, and a value's error beside it.

Schulman et al. 2017, equation 7; Shao et al. 2024; the estimate of the divergence is k3 of
Schulman 2020; the value is clipped as in PPO's first code.
"""

from collections.abc import Sequence

import torch

from service.core.engine_protocol import Policy, PolicyExtras, TrainingRow
from service.core.errors import InvalidRequest
from service.engine.training.losses.measured import Measured, Shares

_OPTIONAL = ("reference_logprobs", "returns", "old_values")


def policy(config: Policy, found: Measured) -> Shares:
    """Σ weight · (clipped objective + kl_coefficient · k3 + value_coefficient · value's error).

    Metrics are weighted means over a row's tokens: with `weight` they add up to a batch's.
    """
    old = _numbers(found, "old_logprobs")
    advantages = _numbers(found, "advantages")
    assert old is not None
    assert advantages is not None
    ratio = (found.logprobs - old).exp()
    clipped = ratio.clamp(1 - config.clip_low, 1 + config.clip_high)
    objective = -torch.minimum(ratio * advantages, clipped * advantages)
    total = objective
    metrics = {
        "ratio": ratio,
        "clip_fraction": (clipped * advantages < ratio * advantages).float(),
        "old_kl": _k3(old, found.logprobs),
        "policy_loss": objective,
    }
    reference = _numbers(found, "reference_logprobs")
    if reference is not None:
        metrics["kl"] = _k3(reference, found.logprobs)
        if config.kl_coefficient:
            total = total + config.kl_coefficient * metrics["kl"]
    if found.entropy is not None:
        metrics["entropy"] = found.entropy
    returns = _numbers(found, "returns")
    if found.values is not None and returns is not None:
        metrics["value"] = found.values
        metrics["value_loss"] = _value_error(config, found, found.values, returns)
        if config.value_coefficient:
            total = total + config.value_coefficient * metrics["value_loss"]
    return Shares(
        loss=found.add_up(found.weights * total),
        weight=found.row_weights,
        correct=found.add_up(found.is_correct.float()),
        metrics={name: found.mean(x.detach()) for name, x in metrics.items()},
    )


def check_policy(config: Policy, rows: Sequence[TrainingRow]) -> None:
    """Raises InvalidRequest for rows whose numbers do not fit their trained tokens."""
    for row in rows:
        if not isinstance(row.extras, PolicyExtras):
            raise InvalidRequest(f"line {row.line}: this loss needs extras of kind 'policy'")
        trained = sum(weight > 0 for weight in row.weights[1:])
        needed = {"old_logprobs": True, "advantages": True} | {
            "reference_logprobs": config.kl_coefficient > 0,
            "returns": config.value_coefficient > 0,
            "old_values": config.value_coefficient > 0,
        }
        for name, is_needed in needed.items():
            numbers = getattr(row.extras, name)
            if len(numbers) != trained and (is_needed or numbers):
                raise InvalidRequest(
                    f"line {row.line} has {len(numbers)} '{name}' for {trained} trained tokens"
                )
    for name in _OPTIONAL:
        given = {bool(getattr(row.extras, name)) for row in rows if any(row.weights[1:])}
        if len(given) > 1:
            raise InvalidRequest(f"some rows have '{name}' and others have none")


def _k3(reference: torch.Tensor, logprobs: torch.Tensor) -> torch.Tensor:
    """An estimate of KL(policy ‖ reference) that is never negative and has no bias."""
    difference = reference - logprobs
    return difference.exp() - difference - 1


def _value_error(
    config: Policy, found: Measured, values: torch.Tensor, returns: torch.Tensor
) -> torch.Tensor:
    error = (values - returns).square()
    old = _numbers(found, "old_values")
    if config.value_clip is not None and old is not None:
        near = old + (values - old).clamp(-config.value_clip, config.value_clip)
        error = torch.maximum(error, (near - returns).square())
    return error / 2


def _numbers(found: Measured, name: str) -> torch.Tensor | None:
    """(positions) of the extras; None where the rows have none."""
    numbers = [x for row in found.rows for x in getattr(row.extras, name)]
    if len(numbers) != found.logprobs.shape[0]:
        return None
    return torch.tensor(numbers, dtype=torch.float32, device=found.logprobs.device)
