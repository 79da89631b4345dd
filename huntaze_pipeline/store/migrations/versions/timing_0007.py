"""Clocks, occasions and silences; fans by zone; attempts of webhooks."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_timing"
down_revision = "0006_steps"

JSONB = postgresql.JSONB(astext_type=sa.Text())
_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _table(
        "clocks",
        ["id"],
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("trigger", JSONB, nullable=False),
        sa.Column("since", _TIME, nullable=False),
        sa.Column("done_to", _TIME, nullable=False),
        sa.Column("next_at", _TIME, nullable=True),
        sa.Column("awaits", JSONB, nullable=True),
        sa.Column("span", sa.Interval(), nullable=True),
        sa.Column("late", sa.Interval(), nullable=True),
        sa.Column("ready", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )
    op.create_index("ix_clocks_next", "clocks", ["next_at"])
    _table(
        "occasions",
        ["clock_id", "zone", "name"],
        sa.Column("clock_id", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), server_default="", nullable=False),
        sa.Column("fans", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("times", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", _TIME, server_default=sa.text("now()"), nullable=False),
    )
    waiting = sa.text("state = 'open'")
    op.create_index("ix_occasions_open", "occasions", ["at"], postgresql_where=waiting)
    _table(
        "silences",
        ["clock_id", "fan_id"],
        sa.Column("clock_id", sa.Text(), nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("due_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["creator_id", "clock_id"],
            ["clocks.creator_id", "clocks.id"],
            name=op.f("fk_silences_creator_id_clock_id"),
            ondelete="CASCADE",
        ),
    )
    due = sa.text("due_at is not null")
    op.create_index("ix_silences_due", "silences", ["due_at"], postgresql_where=due)
    _table(
        "webhook_attempts",
        ["effect_id", "number"],
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
    )
    op.create_index("ix_fans_zone", "fans", ["creator_id", "zone", "id"])


def _table(name: str, key: list[str], *parts: sa.Column | sa.Constraint) -> None:
    """Make a table of tenants, behind its wall."""
    op.create_table(
        name,
        *parts,
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f(f"fk_{name}_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("creator_id", *key, name=op.f(f"pk_{name}")),
    )
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute(f"alter table {name} enable row level security")
    op.execute(f"alter table {name} force row level security")
    op.execute(f"create policy tenant on {name} to huntaze_app using ({mine})")
    op.execute(f"create policy machinery on {name} to huntaze_worker using (true)")
    op.execute(f"grant select on {name} to huntaze_app")
    op.execute(f"grant select, insert, update, delete on {name} to huntaze_worker")


def downgrade() -> None:
    op.drop_index("ix_fans_zone", table_name="fans")
    for table in ("webhook_attempts", "silences", "occasions", "clocks"):
        op.drop_table(table)
