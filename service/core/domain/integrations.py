"""Services outside that a job reports to, and the secrets that they ask for."""

from dataclasses import dataclass
from typing import Literal

IntegrationType = Literal["wandb"]


@dataclass(frozen=True)
class WandbIntegration:
    """A run of Weights & Biases, which the job's metrics are logged to."""

    project: str
    name: str | None = None
    """None names the run after the job."""
    entity: str | None = None
    """Team or user; None is the key's own."""
    tags: tuple[str, ...] = ()
    """In addition to those that every run gets."""
    type: IntegrationType = "wandb"


@dataclass(frozen=True)
class IntegrationSecret:
    """A project's key for such a service."""

    type: IntegrationType
    sealed: str
    """Encrypted."""
    hint: str
    """Enough to tell two keys apart."""
    created_at: float
