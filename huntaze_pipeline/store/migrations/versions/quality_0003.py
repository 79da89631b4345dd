"""Results of quality checks, what stopped a campaign, and one quarantine row per inbox row."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003_quality"
down_revision = "0002_experiments"

JSONB = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    op.create_table(
        "checks",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=True),
        sa.Column("suite", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("expectation", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("unexpected", sa.BigInteger(), nullable=False),
        sa.Column("examples", JSONB, server_default=sa.text("'[]'::jsonb"), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checks")),
    )
    op.create_index("ix_checks_at", "checks", ["at"])
    op.create_index("ix_checks_suite", "checks", ["suite", "judge"])
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute("alter table checks enable row level security")
    op.execute("alter table checks force row level security")
    op.execute(f"create policy tenant on checks to huntaze_app using ({mine})")
    op.execute("create policy machinery on checks to huntaze_worker using (true)")
    op.execute("grant select, insert, update on checks to huntaze_app")
    op.execute("grant select, insert, update, delete on checks to huntaze_worker")
    op.create_index(
        "ix_quarantine_inbox",
        "quarantine",
        ["row"],
        unique=True,
        postgresql_where=sa.text("import_id = 'inbox'"),
    )
    op.add_column("campaigns", sa.Column("stopped", JSONB, nullable=True))
    op.add_column("campaigns", sa.Column("waiver", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("campaigns", "waiver")
    op.drop_column("campaigns", "stopped")
    op.drop_index("ix_quarantine_inbox", table_name="quarantine")
    op.drop_table("checks")
