"""Tenants, their keys and what they did."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    String,
    Table,
    UniqueConstraint,
)

from service.core.tables.schema import Id, metadata, project_column

organizations = Table(
    "organizations",
    metadata,
    Column("id", Id, primary_key=True),
    Column("slug", String(64), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Id, primary_key=True),
    Column("organization_id", Id, ForeignKey("organizations.id"), nullable=False),
    Column("name", String(128), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("archived_at", Double),
    Column("requests_per_minute", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("queued_jobs", BigInteger),
    Column("stored_bytes", BigInteger),
    Column("audit_entries", BigInteger, nullable=False, default=0, server_default="0"),
    Column("audit_head", String(64), nullable=False, default="", server_default=""),
    UniqueConstraint("organization_id", "name"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("name", String(128), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("last4", String(4), nullable=False),
    Column("scopes", String(128), nullable=False, default="all", server_default="all"),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("revoked_at", Double),
    Index(None, "project_id", "created_at", "id"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("actor", Id, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject_id", String(256), nullable=False),
    Column("details", JSON(none_as_null=True)),
    Column("created_at", Double, nullable=False),
    Column("number", BigInteger, nullable=False, server_default="0"),
    Column("previous_hash", String(64), nullable=False, server_default=""),
    Column("hash", String(64), nullable=False, server_default=""),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "project_id", "number", unique=True),
)
