"""What a job reports to, and projects' keys for it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("integrations", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "integration_secrets",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("hint", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_integration_secrets_project_id_projects"
        ),
        sa.PrimaryKeyConstraint("project_id", "type", name="pk_integration_secrets"),
    )
