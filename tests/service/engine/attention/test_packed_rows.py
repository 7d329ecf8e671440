"""Packed attention equals each sequence's own, gradient included."""

import pytest
import torch
from torch.nn import functional as F

from service.engine.attention import AttentionOptions, PackedRows
from service.engine.attention.scores import causal

LENGTHS = {
    "equal": (8, 8, 8),
    "one": (13,),
    "mixed": (1, 40, 33, 5, 2, 64, 31),
    "long": (1100, 7),
}
OPTIONS = {
    "plain": AttentionOptions(0.3),
    "window": AttentionOptions(0.3, sliding_window=4),
    "softcap": AttentionOptions(0.3, softcap=2.0),
}


def reference(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, options: AttentionOptions
) -> torch.Tensor:
    """One sequence, (heads, length, size), by the definition."""
    repeat = query.shape[0] // key.shape[0]
    key, value = (part.repeat_interleave(repeat, dim=0) for part in (key, value))
    scores = query @ key.transpose(1, 2) * options.scaling
    if options.softcap is not None:
        scores = options.softcap * torch.tanh(scores / options.softcap)
    length = query.shape[1]
    visible = causal(length, length, options.sliding_window, query.device)
    return F.softmax(scores.masked_fill(~visible, float("-inf")), dim=-1) @ value


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_every_sequence_sees_itself_alone(
    lengths: tuple[int, ...], options: AttentionOptions
) -> None:
    torch.manual_seed(0)
    total = sum(lengths)
    query, key, value = parts = [
        torch.randn(heads, total, 6, requires_grad=True) for heads in (4, 2, 2)
    ]
    upstream = torch.randn(total, 4, 6)

    got = PackedRows(lengths, torch.device("cpu")).attend(0, query, key, value, options)
    slices = [
        slice(start, start + length)
        for start, length in zip(_starts(lengths), lengths, strict=True)
    ]
    own = [reference(query[:, rows], key[:, rows], value[:, rows], options) for rows in slices]
    expected = torch.cat(own, dim=1).transpose(0, 1)

    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    gradients = torch.autograd.grad(got, parts, upstream)
    expected_gradients = torch.autograd.grad(expected, parts, upstream)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_sequences_that_share_a_prefix_see_it_as_their_own(options: AttentionOptions) -> None:
    torch.manual_seed(0)
    lengths, prefixes = (5, 70, 3, 4, 9), (None, 0, 0, None, 3)
    whole = [(0, 1), (0, 2), (3, 4)]
    total = sum(lengths)
    query, key, value = parts = [
        torch.randn(heads, total, 6, requires_grad=True) for heads in (4, 2, 2)
    ]
    upstream = torch.randn(total, 4, 6)

    got = PackedRows(lengths, torch.device("cpu"), prefixes).attend(0, query, key, value, options)
    expected = _together(whole, lengths, parts, options)

    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    gradients = torch.autograd.grad(got, parts, upstream)
    expected_gradients = torch.autograd.grad(expected, parts, upstream)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-3, atol=1e-4)


def _together(
    whole: list[tuple[int, int]],
    lengths: tuple[int, ...],
    parts: list[torch.Tensor],
    options: AttentionOptions,
) -> torch.Tensor:
    """Each row computed alone; of a shared prefix the result of the first row that has it."""
    starts = _starts(lengths)
    found: dict[int, torch.Tensor] = {}
    for sequences in whole:
        rows = [starts[s] + i for s in sequences for i in range(lengths[s])]
        own = reference(*(part[:, rows] for part in parts), options).transpose(0, 1)
        for place, row in zip(rows, own, strict=True):
            found.setdefault(place, row)
    return torch.stack([found[place] for place in range(sum(lengths))])


def test_a_nan_stays_in_its_sequence() -> None:
    query, key, value = parts = [
        torch.randn(heads, 12, 6, requires_grad=True) for heads in (4, 2, 2)
    ]
    factor = torch.ones(12, 1)
    factor[5:8] = float("nan")
    rows = PackedRows((5, 3, 4), torch.device("cpu"))

    got = rows.attend(0, query * factor, key * factor, value * factor, OPTIONS["plain"])

    is_nan = got.isnan().flatten(1).any(1).tolist()
    assert is_nan == [False] * 5 + [True] * 3 + [False] * 4
    for gradient in torch.autograd.grad(got.nansum(), parts, allow_unused=True):
        assert torch.isfinite(gradient[:, :5]).all()
        assert torch.isfinite(gradient[:, 8:]).all()


def _starts(lengths: tuple[int, ...]) -> list[int]:
    return [sum(lengths[:i]) for i in range(len(lengths))]
