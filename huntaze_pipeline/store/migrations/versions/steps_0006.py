"""Steps as programs: more than messages, versions, pauses, effects, and lists that rules change."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_steps"
down_revision = "0005_changes"

JSONB = postgresql.JSONB(astext_type=sa.Text())
_TIME = sa.DateTime(timezone=True)
_OLD = "uq_steps_creator_id_execution_id_position"
_NEW = "uq_steps_creator_id_execution_id_turn"


def upgrade() -> None:
    op.add_column("automations", sa.Column("steps", JSONB, server_default="[]", nullable=False))
    op.add_column("automations", sa.Column("settings", JSONB, server_default="{}", nullable=False))
    op.add_column("automations", sa.Column("paused_at", _TIME, nullable=True))
    _steps()
    _effects()
    _enrolments()


def _steps() -> None:
    op.add_column("steps", sa.Column("turn", sa.Integer(), nullable=True))
    op.add_column("steps", sa.Column("rule_hash", sa.Text(), nullable=True))
    op.add_column("steps", sa.Column("began_at", _TIME, nullable=True))
    op.add_column("steps", sa.Column("awaits", JSONB, nullable=True))
    op.add_column("steps", sa.Column("effect_id", sa.Text(), nullable=True))
    op.add_column("steps", sa.Column("snapshot_id", sa.BigInteger(), nullable=True))
    op.execute("set local role huntaze_worker")
    op.execute(
        "update steps s set turn = s.position, rule_hash = e.rule_hash from executions e"
        " where e.creator_id = s.creator_id and e.id = s.execution_id"
    )
    op.execute("update steps set turn = position where turn is null")
    op.execute("reset role")
    op.alter_column("steps", "turn", nullable=False)
    op.drop_constraint(op.f(_OLD), "steps")
    op.create_unique_constraint(op.f(_NEW), "steps", ["creator_id", "execution_id", "turn"])


def _effects() -> None:
    op.create_table(
        "effects",
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("automation_id", sa.Text(), nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("state", sa.Text(), server_default="pending", nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("decided_at", _TIME, nullable=False),
        sa.Column("done_at", _TIME, nullable=True),
        sa.CheckConstraint(
            "state in ('pending','applied','delivered','failed','skipped','cancelled')",
            name=op.f("ck_effects_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_effects_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_effects")),
    )
    pending = sa.text("state = 'pending'")
    op.create_index("ix_effects_due", "effects", ["due_at"], postgresql_where=pending)
    op.create_index("ix_effects_execution", "effects", ["creator_id", "execution_id"])
    _wall("effects")


def _enrolments() -> None:
    op.create_table(
        "enrolments",
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("joined", sa.Boolean(), nullable=False),
        sa.Column("effect_id", sa.Text(), nullable=False),
        sa.Column("changed_at", _TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_enrolments_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("segment_id", "fan_id", "creator_id", name=op.f("pk_enrolments")),
    )
    _wall("enrolments")


def downgrade() -> None:
    op.drop_table("enrolments")
    op.drop_table("effects")
    op.execute("set local role huntaze_worker")
    op.execute(
        "delete from steps s using steps t where t.creator_id = s.creator_id"
        " and t.execution_id = s.execution_id and t.position = s.position and t.turn > s.turn"
    )
    op.execute("update executions set state = 'cancelled' where state = 'paused'")
    op.execute("reset role")
    op.drop_constraint(op.f(_NEW), "steps")
    op.create_unique_constraint(op.f(_OLD), "steps", ["creator_id", "execution_id", "position"])
    for column in ("turn", "rule_hash", "began_at", "awaits", "effect_id", "snapshot_id"):
        op.drop_column("steps", column)
    for column in ("steps", "settings", "paused_at"):
        op.drop_column("automations", column)


def _wall(table: str) -> None:
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute(f"alter table {table} enable row level security")
    op.execute(f"alter table {table} force row level security")
    op.execute(f"create policy tenant on {table} to huntaze_app using ({mine})")
    op.execute(f"create policy machinery on {table} to huntaze_worker using (true)")
    for role in ("huntaze_app", "huntaze_worker"):
        op.execute(f"grant select, insert, update, delete on {table} to {role}")
