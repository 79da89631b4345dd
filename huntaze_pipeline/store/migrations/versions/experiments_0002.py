"""Test shares, declared fallbacks, held recipients and the history of a test's split."""

import sqlalchemy as sa
from alembic import op

revision = "0002_experiments"
down_revision = "0001_tables"

_NEW = (
    sa.Column("share", sa.Float(), server_default="1", nullable=False),
    sa.Column("fallback", sa.Text(), server_default="control", nullable=False),
    sa.Column("maximum_s", sa.Integer(), nullable=True),
    sa.Column("method", sa.Text(), nullable=True),
    sa.Column("tuning", sa.Float(), server_default="5000", nullable=False),
    sa.Column("margin", sa.Float(), nullable=True),
    sa.Column("guardrail_margin", sa.Float(), server_default="0.01", nullable=False),
)
_STATES = "'decided','queued','claimed','sent','failed','skipped','expired','unknown','cancelled'"


def upgrade() -> None:
    for column in _NEW:
        op.add_column("experiments", column)
    # Until now the column held what was declared; from here on it holds what came of it.
    op.execute("set local role huntaze_worker")
    op.execute(
        "update experiments set fallback = coalesce(fallback_variant_id, 'control'),"
        " fallback_variant_id = null"
    )
    op.execute("reset role")
    op.create_check_constraint(
        op.f("ck_experiments_share_known"), "experiments", "share > 0 and share <= 1"
    )
    op.add_column("messages", sa.Column("followed_variant_id", sa.Text(), nullable=True))
    _states(f"'held',{_STATES}")
    op.create_index(
        "ix_messages_held",
        "messages",
        ["creator_id", "source_id", "expires_at"],
        postgresql_where=sa.text("state = 'held'"),
    )
    op.create_table(
        "allocations",
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("variant_id", sa.Text(), nullable=False),
        sa.Column("weight", sa.Float(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.CheckConstraint("weight >= 0", name=op.f("ck_allocations_weight_not_negative")),
        sa.ForeignKeyConstraint(
            ["creator_id", "campaign_id"],
            ["campaigns.creator_id", "campaigns.id"],
            name=op.f("fk_allocations_creator_id_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_allocations_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "campaign_id", "epoch", "variant_id", "creator_id", name=op.f("pk_allocations")
        ),
    )
    _wall("allocations")


def downgrade() -> None:
    op.drop_table("allocations")
    op.drop_index("ix_messages_held", "messages")
    op.execute("set local role huntaze_worker")
    op.execute("delete from messages where state = 'held'")
    op.execute(
        "update experiments set fallback_variant_id ="
        " case when fallback not in ('control', 'highest', 'none') then fallback end"
    )
    op.execute("reset role")
    _states(_STATES)
    op.drop_column("messages", "followed_variant_id")
    op.drop_constraint(op.f("ck_experiments_share_known"), "experiments")
    for column in _NEW:
        op.drop_column("experiments", column.name)


def _states(names: str) -> None:
    op.drop_constraint(op.f("ck_messages_state_known"), "messages")
    op.create_check_constraint(op.f("ck_messages_state_known"), "messages", f"state in ({names})")


def _wall(table: str) -> None:
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy tenant on {table} to huntaze_app using ({mine})")
    op.execute(f"create policy machinery on {table} to huntaze_worker using (true)")
    for role in ("huntaze_app", "huntaze_worker"):
        op.execute(f"grant select, insert, update, delete on {table} to {role}")
