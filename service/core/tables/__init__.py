"""The schema, as SQLAlchemy tables. Migrations make it; a test holds the two equal.

Every table of tenants' rows has `project_id NOT NULL`. The exceptions belong to the operator:
`organizations` and `projects` themselves, and `bases`, `base_aliases`, `embedding_models` and
`engines`, which all tenants share.
Times are seconds since 1970 by the database's clock.
"""

from service.core.tables.access import api_keys, audit, organizations, projects
from service.core.tables.aliases import base_aliases, model_aliases
from service.core.tables.batches import batch_blocks, batches
from service.core.tables.completions import (
    idempotency_keys,
    stored_completion_metadata,
    stored_completions,
)
from service.core.tables.files import files, upload_parts, uploads
from service.core.tables.fleet import bases, embedding_models, engines
from service.core.tables.integrations import integration_secrets
from service.core.tables.jobs import (
    checkpoint_permissions,
    checkpoints,
    job_events,
    job_metadata,
    jobs,
    training_states,
)
from service.core.tables.models import models
from service.core.tables.operations import operations
from service.core.tables.schema import OPERATOR_TABLES, metadata
from service.core.tables.webhooks import webhook_deliveries, webhook_endpoints
from service.core.tables.work import work

__all__ = [
    "OPERATOR_TABLES",
    "api_keys",
    "audit",
    "base_aliases",
    "bases",
    "batch_blocks",
    "batches",
    "checkpoint_permissions",
    "checkpoints",
    "embedding_models",
    "engines",
    "files",
    "idempotency_keys",
    "integration_secrets",
    "job_events",
    "job_metadata",
    "jobs",
    "metadata",
    "model_aliases",
    "models",
    "operations",
    "organizations",
    "projects",
    "stored_completion_metadata",
    "stored_completions",
    "training_states",
    "upload_parts",
    "uploads",
    "webhook_deliveries",
    "webhook_endpoints",
    "work",
]
