"""Let the warehouse follow the large tables: each row says which transaction wrote it last.

Revision ID: 0005_changes
"""

from alembic import op

revision = "0005_changes"
down_revision = "0004_metrics"
branch_labels = None
depends_on = None

FOLLOWED = ("messages", "attempts", "executions", "members", "fans", "identities", "consents")


def upgrade() -> None:
    op.execute(
        "create function note_transaction() returns trigger language plpgsql as $$"
        " begin new.tx := pg_current_xact_id()::text::bigint; return new; end $$"
    )
    for table in FOLLOWED:
        op.execute(
            f"alter table {table} add column tx bigint not null"
            " default pg_current_xact_id()::text::bigint"
        )
        # A block-range index costs a write next to nothing and keeps updates in place (HOT).
        op.execute(
            f"create index ix_{table}_tx on {table} using brin (tx int8_minmax_multi_ops)"
            " with (pages_per_range = 16, autosummarize = on)"
        )
        op.execute(
            f"create trigger note_transaction before update on {table}"
            " for each row execute function note_transaction()"
        )


def downgrade() -> None:
    for table in FOLLOWED:
        op.execute(f"drop trigger note_transaction on {table}")
        op.execute(f"alter table {table} drop column tx")
    op.execute("drop function note_transaction()")
