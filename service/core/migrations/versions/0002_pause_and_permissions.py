"""Work that is held or asked to stop, states to resume from, permissions for checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column(
        "work", sa.Column("held", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("work", sa.Column("requested", sa.String(length=16), nullable=True))
    op.add_column("checkpoints", sa.Column("state_key", sa.String(length=512), nullable=True))
    op.add_column("checkpoints", sa.Column("state_digest", sa.String(length=64), nullable=True))
    op.create_table(
        "checkpoint_permissions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("model_name", sa.String(length=256), nullable=False),
        sa.Column("granted_project_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_checkpoint_permissions_project_id_projects"
        ),
        sa.ForeignKeyConstraint(
            ["granted_project_id"],
            ["projects.id"],
            name="fk_checkpoint_permissions_granted_project_id_projects",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoint_permissions"),
        sa.UniqueConstraint(
            "model_name",
            "granted_project_id",
            name="uq_checkpoint_permissions_model_name_granted_project_id",
        ),
    )
    op.create_index(
        "ix_checkpoint_permissions_project_id_created_at_id",
        "checkpoint_permissions",
        ["project_id", "created_at", "id"],
    )
