"""Who acts, and within which walls."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """The tenant that a repository is confined to; no repository of tenants' rows works without."""

    organization_id: str
    organization: str
    """Slug: the third part of tuned model names."""
    project_id: str


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    scope: Scope
    key_id: str


@dataclass(frozen=True)
class ApiKey:
    """A key as it may be shown again: never its secret."""

    id: str
    project_id: str
    name: str
    last4: str
    created_at: float
    revoked_at: float | None
