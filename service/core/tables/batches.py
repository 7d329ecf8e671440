"""Batches of requests."""

from sqlalchemy import JSON, Column, Double, ForeignKey, Index, Integer, String, Table

from service.core.tables.schema import Id, metadata, project_column

batches = Table(
    "batches",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("endpoint", String(64), nullable=False),
    Column("input_file_id", Id, nullable=False),
    Column("status", String(32), nullable=False),
    Column("problems", JSON, nullable=False),
    Column("metadata", JSON(none_as_null=True)),
    Column("output_seconds", Integer),
    Column("output_file_id", Id),
    Column("error_file_id", Id),
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
    Column("batch_id", Id, ForeignKey("batches.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    project_column(),
    Column("key", String(512), nullable=False),
)
