"""Stored completions, and the answers to requests with an idempotency key."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from service.core.tables.schema import Id, metadata, project_column

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", Id, ForeignKey("projects.id"), primary_key=True),
    Column("route", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("holder", Id),
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
    Column("id", Id, primary_key=True),
    project_column(),
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
    Column("completion_id", Id, ForeignKey("stored_completions.id"), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("value", String(512), nullable=False),
    project_column(),
    Index(None, "project_id", "name", "value"),
)
