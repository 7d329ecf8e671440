"""What can be done with models."""

import logging

from service.api.models.schemas import Model
from service.core.database import Connection, Database
from service.core.domain.access import Principal, Scope
from service.core.domain.jobs import Checkpoint
from service.core.errors import Forbidden, InvalidRequest, StorageUnavailable
from service.core.object_keys import job_prefix, origin_prefix
from service.core.repositories.access import AccessRepository
from service.core.repositories.aliases import AliasRepository
from service.core.repositories.audit import record
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.embedders import EmbedderRepository
from service.core.repositories.jobs import JobRepository
from service.core.repositories.models import ModelRepository, model_not_found
from service.core.repositories.registry import RegistryRepository
from service.core.storage import ObjectStore

logger = logging.getLogger(__name__)


class ModelService:
    """Bases, which all projects share, and the models that the project owns or may use."""

    def __init__(self, database: Database, store: ObjectStore) -> None:
        self._database = database
        self._store = store

    def list(self, principal: Principal) -> list[Model]:
        """The default base first, the other bases, then tuned models, newest first; embedding
        models come last."""
        with self._database.snapshot() as connection:
            bases = RegistryRepository(connection).list_bases()
            tuned = ModelRepository(connection, principal.scope).list()
            embedders = EmbedderRepository(connection).list()
        return [
            *map(Model.from_base, bases),
            *map(Model.from_tuned, tuned),
            *map(Model.from_base, embedders),
        ]

    def get(self, principal: Principal, name: str) -> Model:
        """The model itself where the name is an alias. Raises ModelNotFound."""
        with self._database.snapshot() as connection:
            meanings = list(RegistryRepository(connection).meanings(name, principal.scope))
            for meaning in meanings:
                if found := find_model(connection, principal.scope, meaning):
                    return found
        raise model_not_found(*meanings)

    def delete(self, principal: Principal, name: str) -> None:
        """Forget a tuned model with its checkpoints, then delete what its job or import stored,
        unless a job started from it: other models may share its files.

        Raises ModelNotFound, Forbidden for a base, and InvalidRequest for a checkpoint or an alias.
        """
        with self._database.transaction() as connection:
            operators = RegistryRepository(connection).find_base(name)
            if operators or EmbedderRepository(connection).find(name):
                raise Forbidden(f"{name!r} is no model of yours; only the operator removes it.")
            if CheckpointRepository(connection, principal.scope).find_by_name(name) is not None:
                raise InvalidRequest(
                    f"{name!r} is a checkpoint; it is deleted with its model.", param="model"
                )
            _check_no_alias(connection, principal.scope, name)
            models = ModelRepository(connection, principal.scope)
            model = models.delete(name)
            prefix = (
                job_prefix(model.project_id, model.job_id)
                if model.job_id
                else origin_prefix(model.delta.key)
            )
            is_built_upon = models.is_built_upon(prefix)
            record(connection, principal, "model.deleted", name)
        if not is_built_upon:
            self._delete_objects(prefix)

    def _delete_objects(self, prefix: str) -> None:
        """No row points below the prefix any more; what stays behind costs space, nothing else."""
        try:
            self._store.delete_prefix(prefix)
        except StorageUnavailable:
            logger.warning("objects below %s stay behind: the store does not answer", prefix)


def find_model(connection: Connection, scope: Scope, name: str) -> Model | None:
    """What has this very name, if the project can use it: aliases are none."""
    if base := RegistryRepository(connection).find_base(name):
        return Model.from_base(base)
    if embedder := EmbedderRepository(connection).find(name):
        return Model.from_base(embedder)
    if tuned := ModelRepository(connection, scope).find_usable(name):
        return Model.from_tuned(tuned)
    if checkpoint := CheckpointRepository(connection, scope).find_usable(name):
        return _checkpoint_model(connection, checkpoint)
    return None


def _check_no_alias(connection: Connection, scope: Scope, name: str) -> None:
    """Who deletes an alias does not want to lose the model."""
    if ModelRepository(connection, scope).find(name) is None and (
        alias := AliasRepository(connection, scope).find(name)
    ):
        raise InvalidRequest(
            f"{name!r} is an alias of {alias.target!r}. DELETE /v1/models/aliases/{name} deletes "
            "the alias alone; name the model itself to delete that.",
            param="model",
        )


def _checkpoint_model(connection: Connection, checkpoint: Checkpoint) -> Model:
    scope = AccessRepository(connection).scope_of_project(checkpoint.project_id)
    job = JobRepository(connection, scope).get(checkpoint.job_id)
    return Model.from_checkpoint(checkpoint, owned_by=scope.organization, base=job.base)
