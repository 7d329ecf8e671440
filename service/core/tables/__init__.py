"""The schema, as SQLAlchemy tables. Migrations make it; a test holds the two equal.

Every table of tenants' rows has `project_id NOT NULL`. The exceptions belong to the operator:
`organizations` and `projects` themselves, and `bases`, `embedding_models` and `engines`, which all
tenants share.
Times are seconds since 1970 by the database's clock.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

OPERATOR_TABLES = frozenset({"organizations", "projects", "bases", "embedding_models", "engines"})

_Id = String(64)
# SQLite gives autoincrement only to a column whose type is exactly INTEGER
_Number = BigInteger().with_variant(Integer, "sqlite")


def _project() -> Column[str]:
    return Column("project_id", _Id, ForeignKey("projects.id"), nullable=False)


organizations = Table(
    "organizations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("slug", String(64), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("organization_id", _Id, ForeignKey("organizations.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("organization_id", "name"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("name", String(128), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("last4", String(4), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("actor", _Id, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject_id", String(256), nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "project_id", "created_at", "id"),
)

files = Table(
    "files",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("filename", String(512), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("key", String(512), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "expires_at"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("filename", String(512), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("file_seconds", Integer),
    Column("status", String(32), nullable=False),
    Column("file_id", _Id),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("swept_at", Double),
    Index(None, "swept_at", "expires_at"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("upload_id", _Id, ForeignKey("uploads.id"), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("key", String(512), nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "upload_id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("organization_id", _Id, ForeignKey("organizations.id"), nullable=False),
    Column("status", String(32), nullable=False),
    Column("model", String(256), nullable=False),
    Column("base", String(128), nullable=False),
    Column("training_file", _Id, nullable=False),
    Column("validation_file", _Id),
    Column("suffix", String(64)),
    Column("seed", Integer, nullable=False),
    Column("method", String(32), nullable=False),
    Column("hyperparameters", JSON, nullable=False),
    Column("resolved", JSON(none_as_null=True)),
    Column("tuning", JSON, nullable=False),
    Column("reserved_model_name", String(256), nullable=False, unique=True),
    Column("metadata", JSON(none_as_null=True)),
    Column("request_hash", String(64)),
    Column("result_files", JSON, nullable=False),
    Column("trained_tokens", BigInteger),
    Column("error", JSON(none_as_null=True)),
    Column("progress", JSON(none_as_null=True)),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("estimated_finish", Double),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "project_id", "request_hash"),
)

job_metadata = Table(  # the pairs again, to be searched: a JSON path cannot quote every key
    "job_metadata",
    metadata,
    Column("job_id", _Id, ForeignKey("jobs.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(512), nullable=False),
    _project(),
    Index(None, "project_id", "name", "value"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", _Id, nullable=False, unique=True),
    _project(),
    Column("job_id", _Id, ForeignKey("jobs.id"), nullable=False),
    Column("level", String(8), nullable=False),
    Column("type", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "job_id", "number"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("job_id", _Id, ForeignKey("jobs.id"), nullable=False),
    Column("model_name", String(256), nullable=False, unique=True),
    Column("step", Integer, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("key", String(512), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state_key", String(512)),
    Column("state_digest", String(64)),
    Column("created_at", Double, nullable=False),
    Index(None, "job_id", "step"),
)

checkpoint_permissions = Table(  # for a name, which outlives the row of a checkpoint stored again
    "checkpoint_permissions",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("model_name", String(256), nullable=False),
    Column("granted_project_id", _Id, ForeignKey("projects.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("model_name", "granted_project_id"),
    Index(None, "project_id", "created_at", "id"),
)

models = Table(
    "models",
    metadata,
    Column("name", String(256), primary_key=True),
    _project(),
    Column("owned_by", String(64), nullable=False),
    Column("base", String(128), nullable=False),
    Column("base_digest", String(64), nullable=False),
    Column("job_id", _Id, ForeignKey("jobs.id"), nullable=False),
    Column("key", String(512), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "project_id", "created_at", "name"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("name", String(256), nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", JSON, nullable=False),
    Column("secret", Text, nullable=False),
    Column("secret_hint", String(16), nullable=False),
    Column("old_secret", Text),
    Column("old_secret_until", Double),
    Column("disabled_at", Double),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Index(None, "project_id", "created_at", "id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("endpoint_id", _Id, ForeignKey("webhook_endpoints.id"), nullable=False),
    Column("event_id", _Id, nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", JSON, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Index(None, "endpoint_id", "created_at", "id"),
    Index(None, "project_id", "created_at", "id"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", _Id, ForeignKey("projects.id"), primary_key=True),
    Column("route", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("holder", _Id),
    Column("held_until", Double),
    Column("status", Integer),
    Column("media_type", String(128)),
    Column("body", Text),
    Column("is_sealed", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "project_id", "created_at"),
)

stored_completions = Table(
    "stored_completions",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("model", String(256), nullable=False),
    Column("messages", JSON, nullable=False),
    Column("answer", JSON, nullable=False),
    Column("metadata", JSON(none_as_null=True)),
    Column("created_at", Double, nullable=False),
    Index(None, "project_id", "created_at", "id"),
)

stored_completion_metadata = Table(  # as job_metadata
    "stored_completion_metadata",
    metadata,
    Column("completion_id", _Id, ForeignKey("stored_completions.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(512), nullable=False),
    _project(),
    Index(None, "project_id", "name", "value"),
)

work = Table(
    "work",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("kind", String(32), nullable=False),
    Column("subject_id", _Id, nullable=False),
    Column("pool", String(64), nullable=False),
    Column("priority", Integer, nullable=False, default=0),
    Column("epoch", Integer, nullable=False, default=0),
    Column("owner", String(256)),
    Column("lease_until", Double),
    Column("attempt", Integer, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    Column("not_before", Double, nullable=False),
    Column("rung_at", Double),
    Column("progress", JSON(none_as_null=True)),
    Column("held", Boolean, nullable=False, default=False, server_default=false()),
    Column("requested", String(16)),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("kind", "subject_id"),
    Index(None, "pool", "kind", "not_before"),
)

batches = Table(
    "batches",
    metadata,
    Column("id", _Id, primary_key=True),
    _project(),
    Column("endpoint", String(64), nullable=False),
    Column("input_file_id", _Id, nullable=False),
    Column("status", String(32), nullable=False),
    Column("problems", JSON, nullable=False),
    Column("metadata", JSON(none_as_null=True)),
    Column("output_seconds", Integer),
    Column("output_file_id", _Id),
    Column("error_file_id", _Id),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("reached_at", JSON, nullable=False),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "project_id", "input_file_id"),
)

batch_blocks = Table(
    "batch_blocks",
    metadata,
    Column("batch_id", _Id, ForeignKey("batches.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _project(),
    Column("key", String(512), nullable=False),
)

bases = Table(
    "bases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("text_key", String(512), nullable=False),
    Column("context_length", Integer, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
)

embedding_models = Table(
    "embedding_models",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("text_key", String(512), nullable=False),
    Column("context_length", Integer, nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
)

engines = Table(
    "engines",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("pool", String(64), nullable=False),
    Column("url", String(512), nullable=False),
    Column("state", JSON, nullable=False),
    Column("seen_at", Double, nullable=False),
)
