"""AdamW with decoupled weight decay (Loshchilov & Hutter 2019), in fp32 over flat tensors."""

import torch

from service.core.engine_protocol import OptimStep
from service.engine.training.weights import TrainedWeights


class AdamW:
    """The moments of one session's weights."""

    def __init__(self, trained: TrainedWeights) -> None:
        self._trained = trained
        self.steps = 0
        """Updates applied; a skipped one does not count."""
        self.first_moment = torch.zeros_like(trained.flat)
        self.second_moment = torch.zeros_like(trained.flat)

    @torch.no_grad()
    def step(self, command: OptimStep) -> float | None:
        """Apply the gathered gradient and clear it; returns its norm before clipping.

        None, and nothing is applied, when the gradient is not finite.
        """
        gradient = self._trained.gradient
        norm = float(gradient.norm())
        is_finite = norm < float("inf")  # false for NaN
        if is_finite:
            if command.max_grad_norm is not None:
                gradient *= min(1.0, command.max_grad_norm / (norm + 1e-6))
            self._apply(gradient, command)
            self._trained.refresh()
        gradient.zero_()
        return norm if is_finite else None

    def _apply(self, gradient: torch.Tensor, command: OptimStep) -> None:
        self.steps += 1
        beta1, beta2 = command.betas
        self.first_moment.lerp_(gradient, 1 - beta1)
        self.second_moment.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        rate = command.learning_rate
        weights = self._trained.flat
        weights.mul_(1 - rate * command.weight_decay)
        spread = (self.second_moment / (1 - beta2**self.steps)).sqrt_().add_(command.eps)
        weights.addcdiv_(self.first_moment, spread, value=-rate / (1 - beta1**self.steps))
