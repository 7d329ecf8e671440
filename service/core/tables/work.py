"""Background work of every kind: outbox, lease, epoch."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    false,
)

from service.core.tables.schema import Id, metadata, project_column

work = Table(
    "work",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("kind", String(32), nullable=False),
    Column("subject_id", Id, nullable=False),
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
