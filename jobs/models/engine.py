"""The engine that computes for an import or an export."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.runner.attempt import Attempt
from jobs.runner.control import NotYet
from service.core.domain.models import Base
from service.core.engine_client import ArtefactClient
from service.core.engine_protocol import EngineRole
from service.core.repositories.registry import RegistryRepository


def find_base(attempt: Attempt, name: str, digest: str) -> Base:
    """Raises NotYet while no engine has reported the base that was meant."""
    with attempt.reading() as connection:
        base = RegistryRepository(connection).find_base(name)
    if base is None or base.digest != digest:
        raise NotYet(f"Waiting for an engine that holds the base {name}.")
    return base


@contextmanager
def artefact_client(attempt: Attempt, base: Base) -> Iterator[ArtefactClient]:
    """A line to an engine of the pool that serves the base. Raises NotYet when there is none."""
    with attempt.reading() as connection:
        able = RegistryRepository(connection).live_engines(base=base.name, role=EngineRole.SERVE)
    engines = [engine for engine in able if engine.pool == attempt.claim.pool]
    if not engines:
        raise NotYet(f"Waiting for an engine that serves {base.name}.")
    token = attempt.resources.settings.internal_token.get_secret_value()
    with ArtefactClient(engines[0].url, internal_token=token) as client:
        yield client
