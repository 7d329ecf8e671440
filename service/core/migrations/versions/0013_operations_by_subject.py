"""Long operations are looked up by what they are about: a file's reports, a model's exports."""

from alembic import op

revision = "0013"
down_revision = "0011"


def upgrade() -> None:
    op.create_index(
        "ix_operations_subject_created_at_id",
        "operations",
        ["subject", "created_at", "id"],
    )
