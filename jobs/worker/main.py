"""The worker's parent: loads once what every horse needs, then forks the RQ workers.

Importing in each horse would cost seconds and hundreds of megabytes; a preloaded fork rings to
running in 10 ms. Until the forks no connection is opened.
"""

import gc
from functools import partial

import structlog

from jobs.runner.codecs import Codecs
from jobs.runner.resources import WorkerProcess
from jobs.worker.herd import Herd
from jobs.worker.slot import serve
from service.core.database import Database
from service.core.domain.work import WorkKind
from service.core.logs import configure_logging
from service.core.settings import Settings
from service.core.storage import ObjectStore


def run(settings: Settings, name: str = "worker-0") -> None:
    """Serve the pool's training queue and all other work until SIGTERM or SIGINT.

    `name` is this worker's own among all that share the database, and stays over restarts.
    """
    configure_logging(settings, "worker")
    store = ObjectStore.from_settings(settings)
    codecs = Codecs(store, settings.cache_dir)
    codecs.preload()
    Database(settings.database_url).dispose()  # loads the driver; nothing is opened
    gc.freeze()  # so that no collection in a child copies the pages they share
    mains = {
        slot: partial(_serve_slot, WorkerProcess(settings, store, codecs, slot), kind)
        for slot, kind in _slots(settings, name)
    }
    Herd(mains, drain_seconds=settings.drain_seconds).run()


def _slots(settings: Settings, name: str) -> list[tuple[str, WorkKind]]:
    """Stable names and what each serves."""
    slots = [(f"{name}-train-{n}", WorkKind.TRAINING) for n in range(settings.training_slots)]
    slots += [(f"{name}-short-{n}", WorkKind.VALIDATION) for n in range(settings.short_slots)]
    slots += [(f"{name}-batch-{n}", WorkKind.BATCH) for n in range(settings.batch_slots)]
    slots += [(f"{name}-hook-{n}", WorkKind.WEBHOOK) for n in range(settings.webhook_slots)]
    return slots + [(f"{name}-models-{n}", WorkKind.IMPORT) for n in range(settings.model_slots)]


def _serve_slot(process: WorkerProcess, kind: WorkKind) -> None:
    structlog.contextvars.bind_contextvars(worker=process.worker)
    serve(process, kind)
