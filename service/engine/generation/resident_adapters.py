"""Adapters of one base in the form products use, cast once and kept for a while."""

from collections import OrderedDict
from concurrent.futures import Future

from service.core.engine_protocol import DeltaRef
from service.core.errors import InvalidRequest, ServiceError
from service.engine.layers import ServedAdapter
from service.engine.parts import AdapterSource, AdapterWeights
from service.engine.runner import BaseRunner

_KEPT = 16
"""Casts kept when no stream uses them."""


class ResidentAdapters:
    """Between the adapter store and the streams of one base. Used by the step loop alone."""

    def __init__(self, runner: BaseRunner, source: AdapterSource) -> None:
        self._runner = runner
        self._source = source
        self._casts: OrderedDict[tuple[str, str], ServedAdapter] = OrderedDict()

    def pin(self, ref: DeltaRef) -> Future[AdapterWeights]:
        """Hold the adapter for a stream; done at once when it is in RAM."""
        self._source.pin(ref)
        future: Future[AdapterWeights] = Future()
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

    def cast(self, ref: DeltaRef, loading: Future[AdapterWeights]) -> ServedAdapter:
        """The loaded adapter, ready for products.

        Raises what loading raised, and InvalidRequest when it is no adapter of this base.
        """
        weights = _result(ref, loading)
        key = (ref.id, ref.digest)
        adapter = self._casts.get(key)
        if adapter is None:
            check_fit(self._runner, weights)
            base = self._runner.base
            adapter = ServedAdapter.cast(weights, dtype=base.dtype, device=base.device)
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


def _result(ref: DeltaRef, loading: Future[AdapterWeights]) -> AdapterWeights:
    try:
        return loading.result()
    except ServiceError:
        raise
    except Exception as error:
        raise ServiceError(
            f"adapter {ref.id} could not be loaded ({type(error).__name__})"
        ) from error
