"""Keys with scopes, expiry and last use; projects with limits, and archived ones."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("projects", sa.Column("archived_at", sa.Double(), nullable=True))
    for limit in ("requests_per_minute", "tokens_per_minute", "queued_jobs", "stored_bytes"):
        op.add_column("projects", sa.Column(limit, sa.BigInteger(), nullable=True))
    op.add_column(
        "api_keys",
        sa.Column("scopes", sa.String(length=128), server_default="all", nullable=False),
    )
    op.add_column("api_keys", sa.Column("expires_at", sa.Double(), nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", sa.Double(), nullable=True))
    op.create_index(
        "ix_api_keys_project_id_created_at_id", "api_keys", ["project_id", "created_at", "id"]
    )
