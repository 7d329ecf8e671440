"""Keys with scopes, expiry and last use; projects that are archived."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("projects", sa.Column("archived_at", sa.Double(), nullable=True))
    op.add_column(
        "api_keys",
        sa.Column("scopes", sa.String(length=128), server_default="all", nullable=False),
    )
    op.add_column("api_keys", sa.Column("expires_at", sa.Double(), nullable=True))
    op.add_column("api_keys", sa.Column("last_used_at", sa.Double(), nullable=True))
    op.create_index(
        "ix_api_keys_project_id_created_at_id", "api_keys", ["project_id", "created_at", "id"]
    )
