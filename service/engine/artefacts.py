"""Models on their way in and out of an engine: probes and exports of what is served here."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

import torch

from service.core.engine_protocol import (
    BaseShapes,
    ExportRequest,
    ExportState,
    ModelRef,
    Probed,
    ProbeRequest,
)
from service.core.errors import EngineUnavailable, ExportRefused, InvalidRequest, ModelNotFound
from service.engine.export.exports import Exports
from service.engine.export.reference import Reference
from service.engine.generation.resident_adapters import check_fit
from service.engine.parts import AdapterSource, AdapterWeights
from service.engine.probing import Arithmetic, LogitRows, check_rows, compare
from service.engine.runner import BaseRunner
from service.engine.variants import Variants

_PATIENCE_SECONDS = 45.0
"""Callers give up after 60."""

T = TypeVar("T")
Compute = Callable[[LogitRows], None]
"""Hands rows to the step loop. Raises EngineOverloaded, EngineUnavailable."""


class Artefacts:
    """Called from the server's threads; only the step loop touches the device."""

    def __init__(
        self,
        variants: Mapping[str, Variants],
        source: AdapterSource,
        exports: Exports,
        compute: Compute,
    ) -> None:
        self._variants = variants
        self._source = source
        self._exports = exports
        self._compute = compute

    def shapes(self, base: str) -> BaseShapes:
        """Raises ModelNotFound."""
        runner = self._runner(base)
        linears = {
            name: (linear.out_features, linear.in_features)
            for name, linear in runner.linears.items()
        }
        return BaseShapes(digest=runner.base.digest, linears=linears)

    def probe(self, request: ProbeRequest) -> Probed:
        """Three passes of the step loop; see `EngineCore.probe`."""
        runner, weights = self._load(request.model)
        served, merged, base = (
            self._logits(runner, request.rows, weights, arithmetic)
            for arithmetic in (Arithmetic.SERVED, Arithmetic.MERGED, Arithmetic.BASE)
        )
        if not all(bool(logits.isfinite().all()) for logits in (served, merged, base)):
            return Probed(is_finite=False, comparison=None)
        dtype = str(runner.base.dtype).removeprefix("torch.")
        comparison = compare(served, merged, base, formats=(dtype, dtype))
        return Probed(is_finite=True, comparison=comparison)

    def start_export(self, request: ExportRequest) -> ExportState:
        """The served logits are taken at once, the rest is done beside the step loop."""
        known = self._exports.find(request.id)
        if known is not None:
            return known
        runner, weights = self._load(request.model)
        rows = [dialogue.tokens for dialogue in request.dialogues]
        served, base = (
            self._logits(runner, rows, weights, arithmetic)
            for arithmetic in (Arithmetic.SERVED, Arithmetic.BASE)
        )
        return self._exports.start(request, runner.base, Reference(weights, served, base))

    def export_state(self, export: str) -> ExportState:
        """Raises ExportLost."""
        return self._exports.get(export)

    def cancel_export(self, export: str) -> None:
        self._exports.cancel(export)

    def close(self) -> None:
        """Stop what runs."""
        self._exports.close()

    def _runner(self, base: str) -> BaseRunner:
        if base not in self._variants:
            raise ModelNotFound(f"this engine does not hold the base {base!r}")
        return self._variants[base].get(None)

    def _load(self, model: ModelRef) -> tuple[BaseRunner, AdapterWeights]:
        runner = self._runner(model.base)
        if model.delta is None:
            raise InvalidRequest("a base without a delta is nothing to compare", param="model")
        delta = _wait(self._source.load(model.delta))
        if delta.adapter is None or delta.overlay is not None or delta.head is not None:
            raise ExportRefused(
                "only adapters that stand on the base itself can be exported; this model has "
                "weights or a head of its own"
            )
        check_fit(runner, delta.adapter)
        return runner, delta.adapter

    def _logits(
        self,
        runner: BaseRunner,
        rows: Sequence[Sequence[int]],
        weights: AdapterWeights,
        arithmetic: Arithmetic,
    ) -> torch.Tensor:
        check_rows(runner, rows)
        item = LogitRows(runner, rows, weights, arithmetic)
        self._compute(item)
        return _wait(item.done)


def _wait(future: Future[T]) -> T:
    try:
        return future.result(_PATIENCE_SECONDS)
    except TimeoutError as error:
        raise EngineUnavailable("the engine is too busy for a probe") from error
