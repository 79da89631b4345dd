"""The facts of each fan by key, so that a batch of events reads one row a fan.

Revision ID: 0014_live
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014_live"
down_revision = "0013_pauses"
branch_labels = None
depends_on = None

COUNTS = ("lifetime_spend", "purchases", "tips")
TIMES = (
    "first_purchase_at", "last_purchase_at", "last_active_at", "subscribed_at", "unsubscribed_at",
    "last_opened_at", "last_clicked_at",
)  # fmt: skip
LISTS = ("messages_received", "messages_opened", "messages_clicked")


def upgrade() -> None:
    none = sa.text("'{}'")
    op.create_table(
        "tallies",
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        *(sa.Column(n, sa.BigInteger(), server_default="0", nullable=False) for n in COUNTS),
        *(sa.Column(n, sa.DateTime(timezone=True), nullable=True) for n in TIMES),
        *(
            sa.Column(n, postgresql.ARRAY(sa.Text()), server_default=none, nullable=False)
            for n in LISTS
        ),
        sa.Column(
            "imported", postgresql.ARRAY(sa.BigInteger()), server_default=none, nullable=False
        ),
        sa.PrimaryKeyConstraint("creator_id", "fan_id", name=op.f("pk_tallies")),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_tallies_creator_id"), ondelete="CASCADE"
        ),
    )
    # Every event of a fan updates its row; room beside it keeps the index out of that.
    op.execute("alter table tallies set (fillfactor = 70)")
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute("alter table tallies enable row level security")
    op.execute("alter table tallies force row level security")
    op.execute(f"create policy tenant on tallies to huntaze_app using ({mine})")
    op.execute("create policy machinery on tallies to huntaze_worker using (true)")
    op.execute("grant select on tallies to huntaze_app")
    op.execute("grant select, insert, update, delete on tallies to huntaze_worker")


def downgrade() -> None:
    op.drop_table("tallies")
    op.execute("delete from checkpoints where name = 'facts'")
