"""Fine-tuning jobs, what happened to them, and the weights they stored."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from service.core.tables.schema import Id, Number, metadata, project_column

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("status", String(32), nullable=False),
    Column("model", String(256), nullable=False),
    Column("base", String(128), nullable=False),
    Column("training_file", Id, nullable=False),
    Column("validation_file", Id),
    Column("suffix", String(64)),
    Column("seed", Integer, nullable=False),
    Column("method", String(32), nullable=False),
    Column("hyperparameters", JSON, nullable=False),
    Column("resolved", JSON(none_as_null=True)),
    Column("tuning", JSON, nullable=False),
    Column("options", JSON(none_as_null=True)),
    Column("facts", JSON(none_as_null=True)),
    Column("start_from", JSON(none_as_null=True)),
    Column("artefacts", JSON(none_as_null=True)),
    Column("exact", Boolean, nullable=False, default=False, server_default=false()),
    Column("reserved_model_name", String(256), nullable=False, unique=True),
    Column("metadata", JSON(none_as_null=True)),
    Column("integrations", JSON(none_as_null=True)),
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
    Column("job_id", Id, ForeignKey("jobs.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(512), nullable=False),
    project_column(),
    Index(None, "project_id", "name", "value"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("id", Id, nullable=False, unique=True),
    project_column(),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
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
    Column("id", Id, primary_key=True),
    project_column(),
    Column("job_id", Id, ForeignKey("jobs.id"), nullable=False),
    Column("model_name", String(256), nullable=False, unique=True),
    Column("step", Integer, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("key", String(512), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state_key", String(512)),  # until the next release: `training_states` has them
    Column("state_digest", String(64)),
    Column("created_at", Double, nullable=False),
    Index(None, "job_id", "step"),
)

training_states = Table(
    "training_states",
    metadata,
    Column("job_id", Id, ForeignKey("jobs.id"), primary_key=True),
    Column("step", Integer, primary_key=True),
    project_column(),
    Column("key", String(512), nullable=False),
    Column("digest", String(64), nullable=False),
)

checkpoint_permissions = Table(  # for a name, which outlives the row of a checkpoint stored again
    "checkpoint_permissions",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("model_name", String(256), nullable=False),
    Column("granted_project_id", Id, ForeignKey("projects.id"), nullable=False),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("model_name", "granted_project_id"),
    Index(None, "project_id", "created_at", "id"),
)
