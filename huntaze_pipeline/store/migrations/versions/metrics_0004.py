"""Find the segments of a fan: live numbers by segment ask for those of every recipient."""

from alembic import op

revision = "0004_metrics"
down_revision = "0003_quality"


def upgrade() -> None:
    op.create_index("ix_members_fan", "members", ["creator_id", "fan_id"])


def downgrade() -> None:
    op.drop_index("ix_members_fan", table_name="members")
