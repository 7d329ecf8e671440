"""The audit log as a chain of hashes a project, and its head; what was logged before is chained."""

import hashlib
import json

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_ENTRIES = sa.text(
    "SELECT id, project_id, actor, action, subject_id, created_at FROM audit"
    " WHERE project_id = :project ORDER BY created_at, id"
)
_CHAIN = sa.text(
    "UPDATE audit SET number = :number, previous_hash = :previous, hash = :hash WHERE id = :id"
)
_HEAD = sa.text("UPDATE projects SET audit_entries = :number, audit_head = :hash WHERE id = :id")


def upgrade() -> None:
    entries = sa.Column("audit_entries", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("projects", entries)
    head = sa.Column("audit_head", sa.String(length=64), server_default="", nullable=False)
    op.add_column("projects", head)
    op.add_column("audit", sa.Column("details", sa.JSON(none_as_null=True), nullable=True))
    number = sa.Column("number", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("audit", number)
    for name in ("previous_hash", "hash"):
        column = sa.Column(name, sa.String(length=64), server_default="", nullable=False)
        op.add_column("audit", column)
    for (project,) in op.get_bind().execute(sa.text("SELECT id FROM projects")).all():
        _chain(op.get_bind(), project)
    op.create_index("ix_audit_project_id_number", "audit", ["project_id", "number"], unique=True)


def _chain(connection: sa.Connection, project: str) -> None:
    number, previous = 0, ""
    for row in connection.execute(_ENTRIES, {"project": project}).mappings().all():
        number += 1
        content = {**row, "details": None, "number": number, "previous_hash": previous}
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
        hash_ = hashlib.sha256(canonical.encode()).hexdigest()
        link = {"id": row["id"], "number": number, "previous": previous, "hash": hash_}
        connection.execute(_CHAIN, link)
        previous = hash_
    connection.execute(_HEAD, {"number": number, "hash": previous, "id": project})
