"""Every loss written out plainly, on the model's own logits: the oracle of the losses.

One row at a time, from the definitions in `service.core.engine_protocol.losses`; nothing here is
the engine's but the shapes of the messages.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from service.core.engine_protocol import (
    BradleyTerry,
    Classification,
    CrossEntropy,
    Dpo,
    HeadSpec,
    Ipo,
    LabelExtras,
    Loss,
    PairExtras,
    Policy,
    PolicyExtras,
    SimPo,
    TrainingRow,
)

Tensors = Mapping[str, torch.Tensor]


def plain_losses(
    model: nn.Module,
    loss: Loss,
    rows: Sequence[TrainingRow],
    spec: HeadSpec | None = None,
    head: Tensors | None = None,
) -> dict[int, torch.Tensor]:
    """By line, what each row contributes; autograd follows it to whatever requires a gradient."""
    found: dict[int, torch.Tensor] = {}
    groups: dict[int, list[TrainingRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    for members in groups.values():
        if isinstance(loss, CrossEntropy | Policy | Classification):
            for row in members:
                found[row.line] = _of_row(model, loss, row, spec, head)
        else:
            sides = {row.extras.is_chosen: row for row in members if _is_pair(row)}
            found[sides[True].line] = _of_pair(model, loss, sides[True], sides[False], spec, head)
            found[sides[False].line] = torch.zeros(())
    return found


def logprobs_of(model: nn.Module, row: TrainingRow) -> torch.Tensor:
    """Of the trained tokens."""
    logits = model(input_ids=torch.tensor([row.tokens]), use_cache=False).logits[0, :-1]
    every = torch.log_softmax(logits.float(), -1)
    every = every[torch.arange(len(row.tokens) - 1), torch.tensor(row.tokens[1:])]
    return every[_mask(row)]


def hidden_of(model: nn.Module, row: TrainingRow) -> torch.Tensor:
    output = model(input_ids=torch.tensor([row.tokens]), use_cache=False, output_hidden_states=True)
    return output.hidden_states[-1][0].float()


def head_of(spec: HeadSpec, head: Tensors, x: torch.Tensor) -> torch.Tensor:
    for index in range(len(spec.hidden_layers) + 1):
        if index:
            x = F.gelu(x)
        x = x @ head[f"layers.{index}.weight"].T + head[f"layers.{index}.bias"]
    return x


def score_of(model: nn.Module, row: TrainingRow, spec: HeadSpec, head: Tensors) -> torch.Tensor:
    states = hidden_of(model, row)
    pooled = states[-1] if spec.pooling == "last" else states.mean(0)
    return head_of(spec, head, pooled)


def _is_pair(row: TrainingRow) -> bool:
    return isinstance(row.extras, PairExtras)


def _mask(row: TrainingRow) -> torch.Tensor:
    return torch.tensor(row.weights[1:]) > 0


def _weights(row: TrainingRow) -> torch.Tensor:
    return torch.tensor(row.weights[1:])[_mask(row)]


def _sum(model: nn.Module, row: TrainingRow) -> torch.Tensor:
    return (_weights(row) * logprobs_of(model, row)).sum()


def _of_pair(
    model: nn.Module,
    loss: Loss,
    chosen: TrainingRow,
    rejected: TrainingRow,
    spec: HeadSpec | None,
    head: Tensors | None,
) -> torch.Tensor:
    if isinstance(loss, BradleyTerry):
        assert spec is not None
        assert head is not None
        better, worse = (score_of(model, row, spec, head) for row in (chosen, rejected))
        return -torch.log(torch.sigmoid(better - worse))[0]
    sums = [_sum(model, row) for row in (chosen, rejected)]
    lengths = [_weights(row).sum() for row in (chosen, rejected)]
    references = [getattr(row.extras, "reference", None) or 0.0 for row in (chosen, rejected)]
    match loss:
        case Dpo(beta=beta):
            margin = (sums[0] - references[0]) - (sums[1] - references[1])
            return -torch.log(torch.sigmoid(beta * margin))
        case Ipo(beta=beta):
            a, b = ((s - r) / n for s, r, n in zip(sums, references, lengths, strict=True))
            return (a - b - 1 / (2 * beta)) ** 2
        case SimPo(beta=beta, gamma=gamma):
            a, b = (s / n for s, n in zip(sums, lengths, strict=True))
            return -torch.log(torch.sigmoid(beta * a - beta * b - gamma))
        case _:
            raise AssertionError(loss)


def _of_row(
    model: nn.Module, loss: Loss, row: TrainingRow, spec: HeadSpec | None, head: Tensors | None
) -> torch.Tensor:
    match loss:
        case CrossEntropy():
            return -_sum(model, row)
        case Classification():
            assert spec is not None
            assert head is not None
            return _classification(loss, spec, score_of(model, row, spec, head), row)
        case Policy():
            values = None
            if spec is not None and head is not None:
                before = hidden_of(model, row)[:-1][_mask(row)]
                values = head_of(spec, head, before)[:, 0]
            return _policy(loss, logprobs_of(model, row), values, row)
        case _:
            raise AssertionError(loss)


def _classification(
    loss: Classification, spec: HeadSpec, scores: torch.Tensor, row: TrainingRow
) -> torch.Tensor:
    assert isinstance(row.extras, LabelExtras)
    weights = loss.label_weights or (1.0,) * spec.outputs
    if not spec.multi_label:
        (label,) = row.extras.labels
        return -weights[label] * torch.log_softmax(scores, -1)[label]
    total = torch.zeros(())
    for label, weight in enumerate(weights):
        p = torch.sigmoid(scores[label])
        right = p if label in row.extras.labels else 1 - p
        total = total - weight * torch.log(right)
    return total


def _policy(
    loss: Policy, logprobs: torch.Tensor, values: torch.Tensor | None, row: TrainingRow
) -> torch.Tensor:
    extras = row.extras
    assert isinstance(extras, PolicyExtras)
    total = torch.zeros(())
    for at, weight in enumerate(_weights(row)):
        ratio = torch.exp(logprobs[at] - extras.old_logprobs[at])
        near = torch.clamp(ratio, 1 - loss.clip_low, 1 + loss.clip_high)
        advantage = extras.advantages[at]
        term = -torch.minimum(ratio * advantage, near * advantage)
        if loss.kl_coefficient:
            away = extras.reference_logprobs[at] - logprobs[at]
            term = term + loss.kl_coefficient * (torch.exp(away) - away - 1)
        if loss.value_coefficient:
            assert values is not None
            error = (values[at] - extras.returns[at]) ** 2
            if loss.value_clip is not None:
                old = extras.old_values[at]
                kept = torch.clamp(values[at], old - loss.value_clip, old + loss.value_clip)
                error = torch.maximum(error, (kept - extras.returns[at]) ** 2)
            term = term + loss.value_coefficient * error / 2
        total = total + weight * term
    return total
