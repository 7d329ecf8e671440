"""Keys of projects for services outside."""

from sqlalchemy import Column, Double, PrimaryKeyConstraint, String, Table, Text

from service.core.tables.schema import metadata, project_column

integration_secrets = Table(
    "integration_secrets",
    metadata,
    project_column(),
    Column("type", String(32), nullable=False),
    Column("secret", Text, nullable=False),
    Column("hint", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("project_id", "type"),
)
