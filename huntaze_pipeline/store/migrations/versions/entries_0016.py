"""A fan's recent entries are found without reading the ones of its whole life.

Revision ID: 0016_entries
"""

from alembic import op

revision = "0016_entries"
down_revision = "0015_urgent"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_executions_fan", "executions")
    op.create_index("ix_executions_fan", "executions", ["creator_id", "fan_id", "entered_at"])


def downgrade() -> None:
    op.drop_index("ix_executions_fan", "executions")
    op.create_index("ix_executions_fan", "executions", ["creator_id", "fan_id"])
