"""A fan's recent entries and messages are found without reading the ones of its whole life.

Revision ID: 0016_entries
"""

import sqlalchemy as sa
from alembic import op

revision = "0016_entries"
down_revision = "0015_urgent"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("executions", "entered_at")
    _index("messages", "decided_at")
    op.create_index(
        "ix_executions_open",
        "executions",
        ["creator_id", "fan_id"],
        postgresql_where=sa.text("state in ('active','paused')"),
    )


def downgrade() -> None:
    op.drop_index("ix_executions_open", "executions")
    _index("executions")
    _index("messages", "sent_at")


def _index(table: str, *times: str) -> None:
    op.drop_index(f"ix_{table}_fan", table)
    op.create_index(f"ix_{table}_fan", table, ["creator_id", "fan_id", *times])
