"""Wire shapes of models."""

from typing import Literal

from service.api.wire import Answer
from service.core.domain.jobs import Checkpoint
from service.core.domain.models import Base, EmbeddingModel, TunedModel

_OPERATOR = "system"
"""Owner of the bases, as OpenAI calls itself."""


class Model(Answer):
    """Something that can answer."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    base: str | None = None
    """Of a tuned model or checkpoint: what it was tuned from."""
    job: str | None = None
    """The fine-tuning job that made it; null for one that was imported."""

    @classmethod
    def from_base(cls, base: Base | EmbeddingModel) -> "Model":
        return cls(id=base.name, created=int(base.created_at), owned_by=_OPERATOR)

    @classmethod
    def from_tuned(cls, model: TunedModel) -> "Model":
        return cls(
            id=model.name,
            created=int(model.created_at),
            owned_by=model.owned_by,
            base=model.base,
            job=model.job_id,
        )

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, *, owned_by: str, base: str) -> "Model":
        return cls(
            id=checkpoint.model_name,
            created=int(checkpoint.created_at),
            owned_by=owned_by,
            base=base,
            job=checkpoint.job_id,
        )


class ModelList(Answer):
    """Every model the caller can use."""

    object: Literal["list"] = "list"
    data: list[Model]


class ModelDeleted(Answer):
    """The model is gone."""

    id: str
    object: Literal["model"] = "model"
    deleted: Literal[True] = True
