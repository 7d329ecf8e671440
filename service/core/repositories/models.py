"""Tuned models of one project, and what a model name means."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select

from service.core.database import database_now
from service.core.domain.access import Scope
from service.core.domain.models import Delta, EmbeddingModel, ResolvedModel, TunedModel
from service.core.errors import InvalidRequest, ModelNotFound
from service.core.repositories.checkpoints import CheckpointRepository
from service.core.repositories.embedders import EmbedderRepository
from service.core.repositories.permissions import PermissionRepository, is_granted
from service.core.repositories.registry import RegistryRepository
from service.core.tables import jobs, models


class ModelRepository:
    """Models of `scope`'s project; bases are visible to all, and so to a project are the models of
    others that it has a permission for."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self._scope = scope
        self._registry = RegistryRepository(connection)

    def add(
        self, name: str, *, base: str, base_digest: str, job_id: str | None, delta: Delta
    ) -> None:
        """Publish: from the commit on, the name answers. One that was imported has no job."""
        self._connection.execute(
            insert(models).values(
                name=name,
                project_id=self._scope.project_id,
                owned_by=self._scope.organization,
                base=base,
                base_digest=base_digest,
                job_id=job_id,
                key=delta.key,
                digest=delta.digest,
                created_at=database_now(),
            )
        )

    def find(self, name: str) -> TunedModel | None:
        row = self._connection.execute(
            select(models).where(
                models.c.name == name, models.c.project_id == self._scope.project_id
            )
        ).first()
        return None if row is None else _to_domain(row)

    def find_usable(self, name: str) -> TunedModel | None:
        """The project's own, or one that another project has permitted it to use."""
        row = self._connection.execute(
            select(models).where(models.c.name == name, self._usable())
        ).first()
        return None if row is None else _to_domain(row)

    def list(self) -> list[TunedModel]:
        """Usable ones, newest first; OpenAI's list of models has no pages."""
        rows = self._connection.execute(
            select(models)
            .where(self._usable())
            .order_by(models.c.created_at.desc(), models.c.name.desc())
        ).all()
        return [_to_domain(row) for row in rows]

    def delete(self, name: str) -> TunedModel:
        """Forget the model, its job's checkpoints and all permissions to use them; the caller
        deletes objects after the commit.

        Raises ModelNotFound.
        """
        model = self.find(name)
        if model is None:
            raise model_not_found(name)
        self._connection.execute(delete(models).where(models.c.name == name))
        PermissionRepository(self._connection, self._scope).forget([name])
        if model.job_id is not None:
            CheckpointRepository(self._connection, self._scope).delete_of_job(model.job_id)
        return model

    def is_built_upon(self, prefix: str) -> bool:
        """Whether a job of any project started from what lies below the prefix of the object store:
        what it stored may share files with it."""
        key = jobs.c.start_from["delta"]["key"].as_string()
        found = select(jobs.c.id).where(key.startswith(prefix, autoescape=True)).limit(1)
        return self._connection.execute(found).first() is not None

    def find_on_embedder(self, name: str) -> tuple[EmbeddingModel, Delta] | None:
        """A head that was tuned on an embedding model, and that model; None for any other name."""
        for meaning in self._registry.meanings(name, self._scope):
            if self._registry.find_base(meaning) is not None:
                return None
            found = self._find_delta(meaning)
            if found is not None:
                embedder = EmbedderRepository(self._connection).find(found[0])
                return None if embedder is None else (embedder, found[1])
        return None

    def resolve(self, name: str) -> ResolvedModel:
        """What `name` means now: a base, a tuned model, a checkpoint or an alias of one.

        Raises ModelNotFound, and InvalidRequest for a head on an embedding model.
        """
        meanings = list(self._registry.meanings(name, self._scope))
        for meaning in meanings:
            if found := self._resolve_name(meaning):
                return found
        raise model_not_found(*meanings)

    def _resolve_name(self, name: str) -> ResolvedModel | None:
        """Raises InvalidRequest."""
        base = self._registry.find_base(name)
        if base is not None:
            return ResolvedModel(name, base, None)
        found = self._find_delta(name)
        if found is None:
            return None
        base = self._registry.find_base(found[0])
        if base is None and EmbedderRepository(self._connection).find(found[0]) is not None:
            raise InvalidRequest(
                f"{name!r} answers with labels and not with text; POST it to /v1/classify.",
                param="model",
            )
        return None if base is None else ResolvedModel(name, base, found[1])

    def _find_delta(self, name: str) -> tuple[str, Delta] | None:
        tuned = self.find_usable(name)
        if tuned is not None:
            return tuned.base, tuned.delta
        checkpoint = CheckpointRepository(self._connection, self._scope).find_usable(name)
        if checkpoint is None:
            return None
        base = self._connection.scalar(select(jobs.c.base).where(jobs.c.id == checkpoint.job_id))
        return str(base), checkpoint.delta

    def _usable(self) -> ColumnElement[bool]:
        own = models.c.project_id == self._scope.project_id
        return or_(own, is_granted(models.c.name, self._scope))


def model_not_found(name: str, *meanings: str) -> ModelNotFound:
    """`meanings` are what the name is an alias of, the last of them being no model."""
    if meanings:
        return ModelNotFound(
            f"The alias {name!r} means {meanings[-1]!r}, which does not exist or which you do not "
            "have access to. Point it at another model with POST /v1/models/aliases, or delete it.",
            param="model",
        )
    return ModelNotFound(
        f"The model {name!r} does not exist or you do not have access to it. "
        "GET /v1/models lists those you can use.",
        param="model",
    )


def _to_domain(row: Row[Any]) -> TunedModel:
    return TunedModel(
        name=row.name,
        project_id=row.project_id,
        owned_by=row.owned_by,
        base=row.base,
        base_digest=row.base_digest,
        job_id=row.job_id,
        delta=Delta(row.key, row.digest),
        created_at=row.created_at,
    )
