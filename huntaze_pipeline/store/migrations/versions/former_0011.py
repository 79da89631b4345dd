"""Keep what a row said before it changed: the past is judged by what was known then.

Revision ID: 0011_former
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011_former"
down_revision = "0010_releases"
branch_labels = None
depends_on = None

KEPT = {
    "fans": ("id", ""),
    "identities": ("fan_id, platform", "last_inbound_at"),
    "consents": ("fan_id, topic", ""),
    "suppressions": ("platform, normalised", ""),
    "accounts": ("id", ""),
    "templates": ("id", ""),
}
"""Table: its key besides the creator, and a column whose change alone is not worth a row."""


def upgrade() -> None:
    op.create_table(
        "former",
        sa.Column("n", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("creator_id", "n", name=op.f("pk_former")),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_former_creator_id"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_former_id", "former", ["creator_id", "kind", "id", "until"])
    mine = "creator_id = current_setting('huntaze.creator_id', true)"
    op.execute("alter table former enable row level security")
    op.execute("alter table former force row level security")
    op.execute(f"create policy tenant on former to huntaze_app using ({mine})")
    op.execute("create policy machinery on former to huntaze_worker using (true)")
    op.execute("grant select, insert on former to huntaze_app, huntaze_worker")
    op.execute(
        "create function keep_former() returns trigger language plpgsql as $$"
        " declare was jsonb := to_jsonb(old); besides text[] := array['tx', 'updated_at', tg_argv[1]];"
        " gone timestamptz := now();"
        " begin"
        "  if tg_op = 'UPDATE' then"
        "   if was - besides = to_jsonb(new) - besides then return null; end if;"
        "   if tg_table_name = 'consents' then gone := (to_jsonb(new) ->> 'changed_at')::timestamptz; end if;"
        "  elsif not exists (select from creators where id = old.creator_id) then return null;"
        "  end if;"
        "  insert into former (creator_id, kind, id, body, until)"
        "  select old.creator_id, tg_table_name, string_agg(was ->> trim(k), chr(31) order by n), was, gone"
        "  from unnest(string_to_array(tg_argv[0], ',')) with ordinality as key(k, n);"
        "  return null; end $$"
    )
    for table, (key, besides) in KEPT.items():
        op.execute(
            f"create trigger keep_former after update or delete on {table}"
            f" for each row execute function keep_former('{key}', '{besides}')"
        )


def downgrade() -> None:
    for table in KEPT:
        op.execute(f"drop trigger keep_former on {table}")
    op.execute("drop function keep_former()")
    op.drop_table("former")
