"""Tuned models."""

from sqlalchemy import Column, Double, ForeignKey, Index, String, Table

from service.core.tables.schema import Id, metadata, project_column

models = Table(
    "models",
    metadata,
    Column("name", String(256), primary_key=True),
    project_column(),
    Column("owned_by", String(64), nullable=False),
    Column("base", String(128), nullable=False),
    Column("base_digest", String(64), nullable=False),
    Column("job_id", Id, ForeignKey("jobs.id")),
    Column("key", String(512), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "project_id", "created_at", "name"),
)
