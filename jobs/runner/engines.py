"""A training session on one of the pool's engines, closed whatever happens."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from jobs.runner.attempt import Attempt
from jobs.runner.control import NotYet
from jobs.runner.inputs import Inputs
from jobs.runner.session import EngineSession
from service.core.domain.models import Delta
from service.core.domain.tunings import (
    FullTuningSpec,
    LoraTuningSpec,
    PartialTuningSpec,
    TuningSpec,
)
from service.core.engine_client import TrainingClient
from service.core.engine_protocol import (
    DeltaRef,
    EngineRole,
    EngineState,
    FullTuning,
    HeadTuning,
    LoraTuning,
    OpenSession,
    PartialTuning,
    ResumePoint,
    SessionOpened,
    Tuning,
)
from service.core.errors import EngineUnavailable, ModelNotFound, ServiceError, TooManyRequests
from service.core.object_keys import attempt_prefix
from service.core.repositories.registry import RegistryRepository

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """An open session and what it trains on."""

    session: EngineSession
    opened: SessionOpened


@contextmanager
def training_session(
    attempt: Attempt, inputs: Inputs, *, resume: ResumePoint | None = None
) -> Iterator[Training]:
    """Opened on the first engine that has room; the one that reported most free slots is asked
    first. Raises NotYet when none has, StaleEpoch when the job has a later attempt there,
    AdapterCorrupt for a state to resume from that is damaged.
    """
    client, opened = _open(attempt, inputs, resume)
    with client:
        session = EngineSession(client, opened, attempt.control)
        try:
            yield Training(session, opened)
        finally:
            _close(session, inputs.job.id)


def _open(
    attempt: Attempt, inputs: Inputs, resume: ResumePoint | None
) -> tuple[TrainingClient, SessionOpened]:
    request = session_request(attempt, inputs, resume)
    token = attempt.resources.settings.internal_token.get_secret_value()
    for engine in _engines(attempt, inputs):
        client = TrainingClient(engine.url, internal_token=token)
        try:
            return client, client.open_session(request)
        except (EngineUnavailable, TooManyRequests, ModelNotFound) as refusal:
            logger.info("engine %s takes no session: %s", engine.id, refusal)
            client.close()
        except BaseException:
            client.close()
            raise
    raise NotYet(f"Waiting for an engine with room to train on {inputs.base.name}.")


def session_request(attempt: Attempt, inputs: Inputs, resume: ResumePoint | None) -> OpenSession:
    """What the job trains, as the engine is told."""
    job = inputs.job
    return OpenSession(
        job=job.id,
        epoch=attempt.claim.epoch,
        base=inputs.base.name,
        start_from=None if job.start is None else delta_ref(job.start.delta),
        tuning=engine_tuning(job.tuning),
        head=None if job.facts is None else inputs.method.head(job.facts),
        seed=job.seed,
        key_prefix=attempt_prefix(attempt.scope.project_id, job.id, attempt.claim.epoch),
        exact=job.exact,
        resume=resume,
    )


def engine_tuning(spec: TuningSpec) -> Tuning:
    match spec:
        case LoraTuningSpec():
            return LoraTuning.model_validate(asdict(spec))
        case FullTuningSpec():
            return FullTuning()
        case PartialTuningSpec():
            return PartialTuning(last_n_layers=spec.last_n_layers, trainable=spec.trainable)
    return HeadTuning()


def delta_ref(delta: Delta) -> DeltaRef:
    """Under its digest, so that the same bytes lie in the engine's memory once."""
    return DeltaRef(id=delta.digest, key=delta.key, digest=delta.digest)


def _engines(attempt: Attempt, inputs: Inputs) -> list[EngineState]:
    """An engine that last reported no free slot is asked all the same: it may have one by now."""
    with attempt.reading() as connection:
        able = RegistryRepository(connection).live_engines(
            base=inputs.base.name, role=EngineRole.TRAIN
        )
    return [engine for engine in able if engine.pool == attempt.claim.pool]


def _close(session: EngineSession, job_id: str) -> None:
    """An engine that does not hear of it closes the session by itself within a minute."""
    try:
        session.close()
    except ServiceError as error:
        logger.warning("the engine session of %s was not closed: %s", job_id, error)
