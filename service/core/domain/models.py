"""Everything that can answer: bases, tuned models, checkpoints."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Base:
    """A base model that some engine has reported."""

    name: str
    digest: str
    text_key: str
    context_length: int
    parameters: int
    created_at: float
    position: int
    """Place in the operator's list; 0 is the default base."""


@dataclass(frozen=True)
class EmbeddingModel:
    """An embedding model that some engine has reported."""

    name: str
    digest: str
    text_key: str
    context_length: int
    dimensions: int
    created_at: float


@dataclass(frozen=True)
class Delta:
    """Where a stored difference from a base lies."""

    key: str
    digest: str


@dataclass(frozen=True)
class TunedModel:
    """A published model; its row points at a checkpoint's prefix, nothing is copied."""

    name: str
    project_id: str
    owned_by: str
    base: str
    base_digest: str
    job_id: str | None
    """None when it was imported."""
    delta: Delta
    created_at: float


@dataclass(frozen=True)
class CheckpointPermission:
    """Another project of the organisation may use a tuned model or checkpoint."""

    id: str
    model_name: str
    granted_project_id: str
    created_at: float


@dataclass(frozen=True)
class ModelAlias:
    """A further name of a project for something that can answer."""

    id: str
    name: str
    target: str
    """A model's name, or another alias."""
    created_at: float
    updated_at: float


@dataclass(frozen=True)
class ResolvedModel:
    """What a public model name means at this moment; a request is pinned to it."""

    name: str
    """Of what answers, which an alias is not."""
    base: Base
    delta: Delta | None
