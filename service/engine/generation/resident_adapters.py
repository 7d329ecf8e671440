"""Deltas of one base in the form products use, cast once and kept for a while."""

from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass

from service.core.engine_protocol import DeltaRef
from service.core.errors import InvalidRequest, ServiceError
from service.engine.layers import ServedAdapter
from service.engine.parts import AdapterSource, AdapterWeights, DeltaWeights
from service.engine.runner import BaseRunner
from service.engine.variants import Variants

_KEPT = 16
"""Casts kept when no stream uses them."""


@dataclass(frozen=True)
class ServedModel:
    """What a stream is computed with."""

    runner: BaseRunner
    """The base, or a variant of it."""
    adapter: ServedAdapter | None


class ResidentAdapters:
    """Between the adapter store and the streams of one base. Used by the step loop alone."""

    def __init__(self, variants: Variants, source: AdapterSource) -> None:
        self._variants = variants
        self._source = source
        self._casts: OrderedDict[tuple[str, str], ServedAdapter] = OrderedDict()

    def pin(self, ref: DeltaRef) -> Future[DeltaWeights]:
        """Hold the adapter for a stream; done at once when it is in RAM."""
        self._source.pin(ref)
        future: Future[DeltaWeights] = Future()
        try:
            loaded = self._source.get_loaded(ref)
            if loaded is None:
                return self._source.load(ref)
            future.set_result(loaded)
        except ServiceError as error:
            future.set_exception(error)
        return future

    def unpin(self, ref: DeltaRef) -> None:
        self._source.unpin(ref)

    def cast(self, ref: DeltaRef, loading: Future[DeltaWeights]) -> ServedModel:
        """The loaded delta, ready for products.

        Raises what loading raised, AdapterCorrupt for an overlay and InvalidRequest for an adapter
        that is none of this base.
        """
        weights = _result(ref, loading)
        runner = self._variants.get(weights.overlay)
        adapter = None if weights.adapter is None else self._cast(ref, runner, weights.adapter)
        return ServedModel(runner, adapter)

    def _cast(self, ref: DeltaRef, runner: BaseRunner, weights: AdapterWeights) -> ServedAdapter:
        key = (ref.id, ref.digest)
        adapter = self._casts.get(key)
        if adapter is None:
            check_fit(runner, weights)
            base = runner.base
            adapter = ServedAdapter.cast(
                weights, runner.linears, dtype=base.dtype, device=base.device
            )
            self._casts[key] = adapter
        self._casts.move_to_end(key)
        while len(self._casts) > _KEPT:
            self._casts.popitem(last=False)
        return adapter


def check_fit(runner: BaseRunner, weights: AdapterWeights) -> None:
    """Raises InvalidRequest unless every module exists in the base with these sizes."""
    for name, pair in weights.modules.items():
        linear = runner.linears.get(name)
        if linear is None:
            raise InvalidRequest(
                f"adapter {weights.id} adapts {name!r}, which base {runner.base.name!r} lacks"
            )
        rank = pair.a.shape[0]
        expected = (rank, linear.in_features), (linear.out_features, rank)
        if (tuple(pair.a.shape), tuple(pair.b.shape)) != expected:
            raise InvalidRequest(
                f"adapter {weights.id} has other sizes at {name!r} than base {runner.base.name!r}"
            )


def _result(ref: DeltaRef, loading: Future[DeltaWeights]) -> DeltaWeights:
    try:
        return loading.result()
    except ServiceError:
        raise
    except Exception as error:
        raise ServiceError(
            f"adapter {ref.id} could not be loaded ({type(error).__name__})"
        ) from error
