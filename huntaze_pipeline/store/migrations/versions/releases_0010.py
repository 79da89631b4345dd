"""What was made live when, by which commit: one row an apply, and the commit of each version."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010_releases"
down_revision = "0009_campaigns"

JSONB = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    op.add_column("automation_versions", sa.Column("git_commit", sa.Text(), nullable=True))
    op.create_table(
        "releases",
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("git_commit", sa.Text(), nullable=True),
        sa.Column("dirty", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("files_hash", sa.Text(), nullable=False),
        sa.Column("live_hash", sa.Text(), nullable=False),
        sa.Column("changes", JSONB, nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_releases_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_releases")),
    )
    op.create_index("ix_releases_applied_at", "releases", ["creator_id", "applied_at"])
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute("alter table releases enable row level security")
    op.execute("alter table releases force row level security")
    op.execute(f"create policy tenant on releases to huntaze_app using ({mine})")
    op.execute("create policy machinery on releases to huntaze_worker using (true)")
    for role in ("huntaze_app", "huntaze_worker"):
        op.execute(f"grant select, insert on releases to {role}")


def downgrade() -> None:
    op.drop_table("releases")
    op.drop_column("automation_versions", "git_commit")
