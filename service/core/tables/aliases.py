"""Further names of models."""

from sqlalchemy import Column, Double, Index, String, Table, UniqueConstraint

from service.core.tables.schema import Id, metadata, project_column

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("name", String(256), nullable=False),
    Column("target", String(256), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    UniqueConstraint("project_id", "name"),
    Index(None, "project_id", "created_at", "id"),
)

base_aliases = Table(  # the operator's, for all tenants
    "base_aliases",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("target", String(128), nullable=False),
    Column("created_at", Double, nullable=False),
)
