"""Who acts, and within which walls."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Scope:
    """The tenant that a repository is confined to; no repository of tenants' rows works without."""

    organization_id: str
    organization: str
    """Slug: the third part of tuned model names."""
    project_id: str


class KeyScope(StrEnum):
    """What a key is for. `service/api/key_scopes.py` says which operation needs which."""

    ALL = "all"
    """Everything that a project's key can do."""
    READ = "read"
    TRAINING = "training"
    INFERENCE = "inference"
    ADMIN = "admin"
    """The organisation's projects, keys, limits and audit, and nothing else. No project's key
    has it, and who has it has no other."""


@dataclass(frozen=True)
class ProjectLimits:
    """What a project may use; None leaves it to the operator's settings, or without a limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    queued_jobs: int | None = None
    """Fine-tuning jobs that have not begun to train, paused ones included."""
    stored_bytes: int | None = None
    """Of files."""


@dataclass(frozen=True)
class Project:
    """A tenant, as its organisation's administrators see it."""

    id: str
    name: str
    created_at: float
    archived_at: float | None
    limits: ProjectLimits


PROJECT_SCOPES = frozenset(KeyScope) - {KeyScope.ADMIN}


@dataclass(frozen=True)
class Principal:
    """An authenticated caller."""

    scope: Scope
    key_id: str
    scopes: frozenset[KeyScope] = frozenset({KeyScope.ALL})
    limits: ProjectLimits = ProjectLimits()
    use_is_old: bool = False
    """The key's last use was noted more than a minute ago, or never."""


@dataclass(frozen=True)
class ApiKey:
    """A key as it may be shown again: never its secret."""

    id: str
    project_id: str
    name: str
    last4: str
    scopes: frozenset[KeyScope]
    created_at: float
    expires_at: float | None
    last_used_at: float | None
    """To the minute."""
    revoked_at: float | None
