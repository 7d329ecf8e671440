"""Log-probabilities in chunks equal log-probabilities at once."""

import pytest
import torch
from torch.nn import functional as F

from service.engine.fused import AnyHead, PlainHead
from service.engine.training.losses import VocabularyHead, score_and_differentiate, score_tokens

WEIGHT = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
HEADS = {"plain": PlainHead(WEIGHT), "any": AnyHead(lambda hidden: hidden @ WEIGHT.T)}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS.keys())
@pytest.mark.parametrize("positions", [0, 1, 128, 300])
def test_chunks_change_nothing(head: VocabularyHead, positions: int) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(positions, 8, requires_grad=True)
    targets = torch.randint(0, 50, (positions,))
    factors = torch.rand(positions)
    logits = hidden @ WEIGHT.T
    expected = F.cross_entropy(logits, targets, reduction="none")
    (expected_gradient,) = torch.autograd.grad((expected * factors).sum(), hidden)
    probabilities = torch.softmax(logits.detach(), -1)
    entropy = torch.special.entr(probabilities).sum(-1)

    scores, (gradient,) = score_and_differentiate(
        head, hidden.detach(), targets, factors, with_entropy=True
    )
    measured = score_tokens(head, hidden.detach(), targets)

    torch.testing.assert_close(scores.nll, expected.detach())
    torch.testing.assert_close(gradient, expected_gradient)
    assert scores.entropy is not None
    torch.testing.assert_close(scores.entropy, entropy)
    assert torch.equal(scores.is_correct, logits.argmax(-1) == targets)
    assert torch.equal(measured.nll, scores.nll)
    assert torch.equal(measured.is_correct, scores.is_correct)
    assert measured.entropy is None
