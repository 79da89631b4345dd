"""High messages that are due are found without looking at those behind which they came.

Revision ID: 0015_urgent
"""

import sqlalchemy as sa
from alembic import op

revision = "0015_urgent"
down_revision = "0014_live"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_messages_urgent",
        "messages",
        ["not_before"],
        postgresql_where=sa.text("state = 'decided' and priority = 'high'"),
    )


def downgrade() -> None:
    op.drop_index("ix_messages_urgent", "messages")
