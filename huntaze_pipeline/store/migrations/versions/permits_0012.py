"""Permits and rests in the books: the limiter that serves while Redis is away.

Revision ID: 0012_permits
"""

import sqlalchemy as sa
from alembic import op

revision = "0012_permits"
down_revision = "0011_former"
branch_labels = None
depends_on = None

TABLES = ("permits", "rests")


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "permits",
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("until", instant, nullable=False),
        sa.PrimaryKeyConstraint("creator_id", "handle", name=op.f("pk_permits")),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_permits_creator_id"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_permits_account", "permits", ["account_id", "until"])
    op.create_table(
        "rests",
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("until", instant, nullable=False),
        sa.PrimaryKeyConstraint("creator_id", "account_id", name=op.f("pk_rests")),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_rests_creator_id"), ondelete="CASCADE"
        ),
    )
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    for table in TABLES:
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to huntaze_app using ({mine})")
        op.execute(f"create policy machinery on {table} to huntaze_worker using (true)")
        op.execute(f"grant select on {table} to huntaze_app")
        op.execute(f"grant select, insert, update, delete on {table} to huntaze_worker")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
