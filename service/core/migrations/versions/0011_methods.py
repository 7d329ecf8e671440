"""Every method and tuning: options, facts of the data, where a job starts, training states."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("options", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("facts", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("start_from", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("jobs", sa.Column("artefacts", sa.JSON(none_as_null=True), nullable=True))
    op.add_column(
        "jobs", sa.Column("exact", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "training_states",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_training_states_job_id_jobs"),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name="fk_training_states_project_id_projects"
        ),
        sa.PrimaryKeyConstraint("job_id", "step", name="pk_training_states"),
    )
    op.execute(
        "INSERT INTO training_states (job_id, step, project_id, key, digest) "
        "SELECT job_id, step, project_id, state_key, state_digest FROM checkpoints "
        "WHERE state_key IS NOT NULL"
    )
