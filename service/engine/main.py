"""The engine process: load the bases, run the step loop, serve it, tell the api, end in order."""

import logging
import time
from collections.abc import Sequence

from service.core.errors import StorageUnavailable
from service.core.logs import configure_logging
from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.engine.adapters import AdapterDisk, AdapterStore, linear_shapes
from service.engine.bases import PreparedBase, load_prepared, prepare_base, publish_text_assets
from service.engine.beacon import Beacon
from service.engine.calibration import CalibrationBook, shapes_of
from service.engine.embedding import LoadedEmbedder, load_embedder, prepare_embedder
from service.engine.export import Exports, ObjectStoreSink
from service.engine.front import EngineFront, bind_front
from service.engine.parts import EngineIdentity, EngineLimits, LoadedBase
from service.engine.scheduler import Engine
from service.engine.stopping import StopRequests
from service.engine.threads import limit_torch_threads

logger = logging.getLogger(__name__)

_STORE_WAIT_SECONDS = 60.0
_STORE_RETRY_SECONDS = 0.5


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish the saves in flight and return.

    Raises ConfigurationError for settings that cannot work, StorageUnavailable when the object
    store stays away at the start, and what made the step loop fail: the process ends then, to be
    started afresh.
    """
    configure_logging(settings, "engine")
    started = time.monotonic()
    with StopRequests() as stops, bind_front(settings) as listener:
        limit_torch_threads()
        store = ObjectStore.from_settings(settings)
        bases = [_load(name, source, settings, store) for name, source in settings.bases.items()]
        embedders = [
            _load_embedder(name, source, settings, store)
            for name, source in settings.embedders.items()
        ]
        adapters = _adapter_store(settings, store, bases, embedders)
        engine = _engine(settings, store, bases, adapters, embedders)
        front = EngineFront(engine, listener, settings, on_failure=stops.request)
        beacon = _beacon(engine, settings, stops)
        stops.defer()
        engine.start()
        front.start()
        beacon.start()
        logger.info("engine ready on %s in %.1f s", front.url, time.monotonic() - started)
        failure = stops.wait()
        _end(engine, front, beacon)
        adapters.close()
    if failure is not None:
        raise failure


def _load(name: str, source: str, settings: Settings, store: ObjectStore) -> LoadedBase:
    prepared = prepare_base(source, settings)
    _publish(name, prepared, store)
    return load_prepared(name, prepared, settings)


def _load_embedder(
    name: str, source: str, settings: Settings, store: ObjectStore
) -> LoadedEmbedder:
    prepared = prepare_embedder(source)
    _publish(name, prepared, store)
    return load_embedder(name, prepared, settings)


def _publish(name: str, prepared: PreparedBase, store: ObjectStore) -> None:
    """Waits for a store that is still starting."""
    started = time.monotonic()
    troubled = False
    while True:
        try:
            publish_text_assets(prepared, store)
        except StorageUnavailable as error:
            if time.monotonic() - started > _STORE_WAIT_SECONDS:
                raise
            if not troubled:
                logger.warning("waiting for the object store: %s", error)
            troubled = True
            time.sleep(_STORE_RETRY_SECONDS)
        else:
            logger.info("published the text of %s in %.1f s", name, time.monotonic() - started)
            return


def _adapter_store(
    settings: Settings,
    store: ObjectStore,
    bases: Sequence[LoadedBase],
    embedders: Sequence[LoadedEmbedder],
) -> AdapterStore:
    # Before the step loop puts its own layers in the place of the bases' linear ones.
    shapes = {base.digest: linear_shapes(base.model) for base in bases}
    # Heads alone are trained on embedding models; there is no layer to adapt.
    shapes |= {embedder.state.digest: {} for embedder in embedders}
    return AdapterStore(
        store,
        disk=AdapterDisk(settings.cache_dir / "adapters", settings.adapter_disk_bytes),
        memory_bytes=settings.adapter_memory_bytes,
        shapes=shapes,
    )


def _engine(
    settings: Settings,
    store: ObjectStore,
    bases: Sequence[LoadedBase],
    adapters: AdapterStore,
    embedders: Sequence[LoadedEmbedder],
) -> Engine:
    started = time.monotonic()
    sink = ObjectStoreSink(store)
    exports = Exports(store, settings.cache_dir / "exports")
    books = {base.name: _book(base, settings) for base in bases}
    engine = Engine(
        bases,
        adapters,
        sink,
        _limits(settings),
        _identity(settings),
        embedders,
        exports,
        books=books,
        measures_itself=settings.self_calibration,
    )
    logger.info("step loop prepared in %.1f s", time.monotonic() - started)
    return engine


def _book(base: LoadedBase, settings: Settings) -> CalibrationBook:
    # Here too the linear layers must still be the base's own.
    shapes = shapes_of(base.model, linear_shapes(base.model), element_bytes=base.dtype.itemsize)
    return CalibrationBook(
        base,
        shapes,
        micro_batch_tokens=settings.micro_batch_tokens,
        folder=settings.cache_dir / "calibration",
    )


def _limits(settings: Settings) -> EngineLimits:
    return EngineLimits(
        training_slots=settings.training_slots,
        micro_batch_tokens=settings.micro_batch_tokens,
        kv_cache_tokens=settings.kv_cache_tokens,
        activation_bytes=settings.activation_memory_bytes,
        overlay_memory_bytes=settings.overlay_memory_bytes,
        session_seconds=settings.session_seconds,
    )


def _identity(settings: Settings) -> EngineIdentity:
    return EngineIdentity(id=settings.engine_id, url=settings.engine_url, pool=settings.pool)


def _beacon(engine: Engine, settings: Settings, stops: StopRequests) -> Beacon:
    return Beacon(
        engine_id=settings.engine_id,
        api_url=settings.api_url,
        internal_token=settings.internal_token.get_secret_value(),
        state=engine.state,
        on_engine_failure=stops.request,
    )


def _end(engine: Engine, front: EngineFront, beacon: Beacon) -> None:
    """No more posts, no more requests, the saves in flight to their end, then farewell."""
    started = time.monotonic()
    beacon.stop()
    front.stop_accepting()
    engine.close()
    front.wait_closed()
    beacon.withdraw()
    logger.info("engine stopped in %.1f s", time.monotonic() - started)
