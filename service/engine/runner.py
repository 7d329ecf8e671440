"""One forward pass of a base over a packed batch: the only place that calls a model.

The model's own layers compute every pass of every architecture. For one family of them the fused
decoder computes whole rows, that is, training and measuring.
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from service.core.errors import ConfigurationError
from service.engine.attention import (
    IMPLEMENTATION,
    AttentionOptions,
    PackedAttention,
    PackedRows,
    register,
)
from service.engine.fused import AnyHead, FusedDecoder, PlainHead
from service.engine.generation.kv_cache import LayerShape
from service.engine.layers import AdapterSwitch, RowPlan, TrainedRuns, swap_linears
from service.engine.parts import LoadedBase
from service.engine.recompute import ActivationSizes, replaying
from service.engine.sharing import copy_with

logger = logging.getLogger(__name__)

_PROBE_LENGTHS = (24, 16)
_TOLERANCE = {torch.float32: 1e-3}
_LOOSE_TOLERANCE = 0.3
"""Of the median token's logits, relative, in 16 bits: two ways to round the same attention differ
by 0.1 on tokens that make no sense together, and by more than 1 on some of them."""
_LENGTH_DEPENDENT_ROPE = ("dynamic", "longrope")


@dataclass(frozen=True)
class PackedBatch:
    """Tokens of several sequences in one line; the plans say what belongs together."""

    tokens: torch.Tensor
    positions: torch.Tensor
    attention: PackedAttention
    adapters: RowPlan | None = None


class BaseRunner:
    """A resident base, its linear layers and its attention replaced in place."""

    def __init__(
        self, base: LoadedBase, *, use_fused: bool = True, activation_bytes: int = 4 * 1024**3
    ) -> None:
        """`activation_bytes`: a pass that would keep more for its backward computes its layers
        again instead. Raises ConfigurationError when the packed pass and the model's own disagree.
        """
        self.base = base
        self._activation_bytes = activation_bytes
        self._sizes = ActivationSizes.of(base.model, base.dtype)
        _refuse_length_dependent_rope(base)
        model = base.model
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        probes = _probes(self.vocabulary)
        expected = [_own_logits(model, probe, base.device) for probe in probes]
        register()
        model.set_attn_implementation(IMPLEMENTATION)
        self._switch = AdapterSwitch()
        self._fused: FusedDecoder | None = None
        self._frozen_part: FusedDecoder | None = None
        """Below the lowest layer in training; `_decoder_above` goes on from there."""
        self.linears: Mapping[str, nn.Linear] = swap_linears(model, self._switch)
        self._decoder = model.base_model
        self._head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        self._shape_logits = _LogitShape.of(model)
        self.kv_layers = self._check(probes, torch.cat(expected))
        self._use_fused = use_fused
        self.loss_head = self._read_loss_head()
        """What losses are computed with: the head itself where it is one matrix and no more."""
        if use_fused and FusedDecoder.supports(model):
            self._fused = FusedDecoder(model)
            self._drop_fused_if_different(probes, torch.cat(expected))

    def variant(self, replaced: Mapping[str, torch.Tensor]) -> "BaseRunner":
        """The same base with these parameters in the place of its own; all others are shared.

        A parameter that requires a gradient gets one. Raises AdapterCorrupt for a name that the
        base lacks or a tensor of another shape.
        """
        other = copy.copy(self)
        other._switch = AdapterSwitch()
        model = copy_with(self.base.model, replaced, {id(self._switch): other._switch})
        other.base = replace(self.base, model=model)
        other.linears = {name: _linear(model, name) for name in self.linears}
        other._decoder = model.base_model
        other._head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
        other.loss_head = other._read_loss_head()
        other._fuse_again(is_trained=any(tensor.requires_grad for tensor in replaced.values()))
        return other

    def _fuse_again(self, *, is_trained: bool) -> None:
        """The fused layers know no gradient of the base's own weights, so they can be those alone
        that lie below every trained one."""
        model, had_fused = self.base.model, self._fused is not None
        self._fused = self._frozen_part = None
        if not had_fused:
            return
        if not is_trained:
            self._fused = FusedDecoder(model)
        elif (count := _frozen_layers(self._decoder)) > 0:
            self._frozen_part = FusedDecoder(model, count=count)
            self._decoder_above = _without_lowest(self._decoder, count)

    @property
    def is_fused(self) -> bool:
        """Whether whole rows go through the fused decoder."""
        return self._fused is not None

    def hidden(self, batch: PackedBatch) -> torch.Tensor:
        """(rows, hidden size) after the last norm. Follows the caller's gradient mode."""
        fused = self._fused
        attention, plan = batch.attention, batch.adapters
        if (
            fused is not None
            and isinstance(attention, PackedRows)
            and (plan is None or (isinstance(plan, TrainedRuns) and plan.is_plain))
            and fused.fits(attention.layout)
        ):
            keeps = not self._is_too_long(batch, is_fused=True)
            return fused.hidden(
                batch.tokens, batch.positions, attention.layout, plan, keeps_insides=keeps
            )
        is_too_long = self._is_too_long(batch, is_fused=False)
        replay = replaying(self.base.model, self._switch, plan) if is_too_long else nullcontext()
        decoder, entry = self._enter(batch)
        with replay, self._switch.using(plan):
            output = decoder(
                **entry,
                position_ids=batch.positions[None],
                use_cache=False,
                packed=attention,
            )
        hidden: torch.Tensor = output.last_hidden_state[0]
        return hidden

    def _enter(self, batch: PackedBatch) -> tuple[nn.Module, dict[str, torch.Tensor]]:
        """The model's own layers that are left to compute, and what they begin with."""
        below, attention, plan = self._frozen_part, batch.attention, batch.adapters
        if (
            below is None
            or not isinstance(attention, PackedRows)
            or not (plan is None or (isinstance(plan, TrainedRuns) and plan.is_empty))
            or not below.fits(attention.layout)
        ):
            return self._decoder, {"input_ids": batch.tokens[None]}
        with torch.no_grad():
            states = below.states(batch.tokens, batch.positions, attention.layout, None)
        return self._decoder_above, {"inputs_embeds": states[None]}

    def _is_too_long(self, batch: PackedBatch, *, is_fused: bool) -> bool:
        """Whether what a backward needs of all layers would not fit."""
        if not torch.is_grad_enabled() or not isinstance(batch.attention, PackedRows):
            return False
        layout = batch.attention.layout
        kept = self._sizes.estimate(layout, len(batch.tokens), is_fused=is_fused)
        return kept > self._activation_bytes

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """(rows, vocabulary) in fp32."""
        return self._shape_logits.apply(self._head(hidden).float())

    def tensor(self, values: Sequence[int]) -> torch.Tensor:
        """Indices on the base's device."""
        return torch.tensor(values, device=self.base.device)

    @torch.inference_mode()
    def _check(
        self, probes: Sequence[Sequence[int]], expected: torch.Tensor
    ) -> dict[int, LayerShape]:
        """Run the probes packed; returns what each attention layer would keep of a token."""
        attention = _ShapeRecorder([len(probe) for probe in probes], self.base.device)
        difference = self._difference(probes, attention, expected)
        is_close = difference <= _TOLERANCE.get(self.base.dtype, _LOOSE_TOLERANCE)
        layers = self.base.model.config.get_text_config().num_hidden_layers
        if not is_close or len(attention.shapes) != layers:
            raise ConfigurationError(
                f"base {self.base.name!r} ({type(self.base.model).__name__}) does not compute the "
                f"same when its rows are packed (relative difference {difference:.2g} over "
                f"{len(attention.shapes)} of {layers} layers); its architecture is not supported"
            )
        return attention.shapes

    @torch.inference_mode()
    def _drop_fused_if_different(
        self, probes: Sequence[Sequence[int]], expected: torch.Tensor
    ) -> None:
        rows = PackedRows([len(probe) for probe in probes], self.base.device)
        difference = self._difference(probes, rows, expected)
        if not difference <= _TOLERANCE.get(self.base.dtype, _LOOSE_TOLERANCE):
            self._fused = None
            logger.warning(
                "base %s trains without fused layers, which differ from its own by %.2g",
                self.base.name,
                difference,
            )

    def _difference(
        self, probes: Sequence[Sequence[int]], attention: PackedAttention, expected: torch.Tensor
    ) -> float:
        """The median token's, relative to its logits."""
        tokens = self.tensor([token for probe in probes for token in probe])
        positions = self.tensor([i for probe in probes for i in range(len(probe))])
        got = self.logits(self.hidden(PackedBatch(tokens, positions, attention)))
        scale = expected.norm(dim=-1).clamp_min(1e-6)
        return float(((got - expected).norm(dim=-1) / scale).median())

    def _read_loss_head(self) -> PlainHead | AnyHead:
        head = self._head
        is_matrix = type(head) is nn.Linear and head.bias is None
        if self._use_fused and is_matrix and self._shape_logits.is_plain:
            weight = head.weight
            return PlainHead(weight if weight.requires_grad else weight.detach())
        return AnyHead(self.logits, [p for p in head.parameters() if p.requires_grad])


@dataclass(frozen=True)
class _LogitShape:
    """What some architectures do to the head's result."""

    factor: float
    softcap: float | None

    @classmethod
    def of(cls, model: PreTrainedModel) -> "_LogitShape":
        config = model.config.get_text_config()
        factor = getattr(config, "logit_scale", None) or 1.0
        divisor = getattr(config, "logits_scaling", None) or 1.0
        return cls(factor / divisor, getattr(config, "final_logit_softcapping", None))

    @property
    def is_plain(self) -> bool:
        return self.factor == 1.0 and self.softcap is None

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        if self.factor != 1.0:
            logits = logits * self.factor
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits


def _frozen_layers(decoder: Any) -> int:
    """Layers of the fused family below the lowest weight that is trained."""
    if decoder.embed_tokens.weight.requires_grad:
        return 0
    trained = [any(p.requires_grad for p in layer.parameters()) for layer in decoder.layers]
    return trained.index(True) if True in trained else len(trained)


def _without_lowest(decoder: nn.Module, count: int) -> nn.Module:
    """The same modules, but for the lowest layers."""
    above = copy.copy(decoder)
    layers: Any = decoder.layers
    above._modules = {**decoder._modules, "layers": nn.ModuleList(list(layers)[count:])}
    return above


def _linear(model: PreTrainedModel, name: str) -> nn.Linear:
    module = model.get_submodule(name)
    assert isinstance(module, nn.Linear)
    return module


class _ShapeRecorder:
    """Packed attention that remembers each layer's key and value shapes."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self._rows = PackedRows(lengths, device)
        self.shapes: dict[int, LayerShape] = {}

    def attend(
        self,
        layer: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        options: AttentionOptions,
    ) -> torch.Tensor:
        self.shapes[layer] = LayerShape(key.shape[0], key.shape[-1], value.shape[-1])
        return self._rows.attend(layer, query, key, value, options)


def _probes(vocabulary: int) -> list[list[int]]:
    """Tokens from all over the vocabulary."""
    count = sum(_PROBE_LENGTHS)
    spread = [(7 * i * vocabulary // count + i) % vocabulary for i in range(count)]
    return [spread[: _PROBE_LENGTHS[0]], spread[_PROBE_LENGTHS[0] :]]


@torch.inference_mode()
def _own_logits(
    model: PreTrainedModel, tokens: Sequence[int], device: torch.device
) -> torch.Tensor:
    """The model's logits as transformers computes them."""
    output = model(input_ids=torch.tensor([tokens], device=device), use_cache=False)
    logits: torch.Tensor = output.logits[0].float()
    return logits


def _refuse_length_dependent_rope(base: LoadedBase) -> None:
    """Such positions depend on the longest row of a batch, so neighbours would change a row."""
    parameters = getattr(base.model.config.get_text_config(), "rope_parameters", None) or {}
    kinds = {str(parameters.get("rope_type"))} | {
        str(layer.get("rope_type")) for layer in parameters.values() if isinstance(layer, dict)
    }
    refused = kinds.intersection(_LENGTH_DEPENDENT_ROPE)
    if refused:
        raise ConfigurationError(
            f"base {base.name!r} uses {refused.pop()!r} position scaling, which is not supported"
        )
