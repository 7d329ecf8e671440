"""Cross-entropy in chunks equals cross-entropy at once."""

import pytest
import torch
from torch.nn import functional as F

from service.engine.fused import AnyHead
from service.engine.training.losses import cross_entropy, cross_entropy_with_gradient


@pytest.mark.parametrize("positions", [0, 1, 128, 300])
def test_chunks_change_nothing(positions: int) -> None:
    torch.manual_seed(0)
    weight = torch.randn(50, 8)
    hidden = torch.randn(positions, 8, requires_grad=True)
    targets = torch.randint(0, 50, (positions,))
    factors = torch.rand(positions)
    expected = F.cross_entropy(hidden @ weight.T, targets, reduction="none")
    (expected_gradient,) = torch.autograd.grad((expected * factors).sum(), hidden)

    head = AnyHead(lambda h: h @ weight.T)
    losses, (gradient,) = cross_entropy_with_gradient(head, hidden.detach(), targets, factors)
    measured = cross_entropy(head, hidden.detach(), targets)

    torch.testing.assert_close(losses.nll, expected.detach())
    torch.testing.assert_close(gradient, expected_gradient)
    assert torch.equal(losses.is_correct, (hidden @ weight.T).argmax(-1) == targets)
    torch.testing.assert_close(measured.nll, losses.nll)
    assert torch.equal(measured.is_correct, losses.is_correct)
