"""Long operations."""

from sqlalchemy import JSON, Column, Double, Index, String, Table

from service.core.tables.schema import Id, metadata, project_column

operations = Table(
    "operations",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("kind", String(32), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("status", String(32), nullable=False),
    Column("request", JSON, nullable=False),
    Column("progress", Double, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    Index(None, "project_id", "kind", "created_at", "id"),
    Index(None, "subject", "created_at", "id"),
)
