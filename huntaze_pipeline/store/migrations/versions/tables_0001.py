"""The tables of every model, with row-level security on from the start."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from huntaze_pipeline.store.inflow import Xid8

revision = "0001_tables"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column(
            "detail",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_table(
        "checkpoints",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "position",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "creators",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("currency", sa.Text(), server_default="USD", nullable=False),
        sa.Column("key_hash", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_creators")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_creators_key_hash")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("handle", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("limit_count", sa.Integer(), nullable=True),
        sa.Column("limit_window_s", sa.Integer(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "limit_count > 0 and limit_window_s > 0", name=op.f("ck_accounts_limit_positive")
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_accounts_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("id", name=op.f("uq_accounts_id")),
        sa.UniqueConstraint("platform", "handle", name=op.f("uq_accounts_platform_handle")),
    )
    op.create_table(
        "attempts",
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.Column(
            "intent_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("result_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_attempts_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", "fence", "creator_id", name=op.f("pk_attempts")),
    )
    op.create_index("ix_attempts_account", "attempts", ["account_id", "intent_at"], unique=False)
    op.create_table(
        "automation_versions",
        sa.Column("automation_id", sa.Text(), nullable=False),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_automation_versions_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "automation_id", "rule_hash", "creator_id", name=op.f("pk_automation_versions")
        ),
    )
    op.create_table(
        "automations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("trigger", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "conditions",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("actions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_automations_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_automations")),
    )
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), server_default="broadcast", nullable=False),
        sa.Column("status", sa.Text(), server_default="draft", nullable=False),
        sa.Column("platforms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("template_id", sa.Text(), nullable=True),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recurring", sa.Text(), nullable=True),
        sa.Column("next_send_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "targeting",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "metrics",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("conversions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("source", sa.Text(), server_default="api", nullable=False),
        sa.Column("rule_hash", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "status in ('draft','scheduled','active','paused','completed','cancelled')",
            name=op.f("ck_campaigns_status_known"),
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_campaigns_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_campaigns")),
    )
    op.create_index("ix_campaigns_due", "campaigns", ["status", "next_send_at"], unique=False)
    op.create_table(
        "costs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_micros", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("incurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_costs_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_costs")),
    )
    op.create_table(
        "executions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("automation_id", sa.Text(), nullable=False),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("entry_key", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_executions_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_executions")),
        sa.UniqueConstraint(
            "creator_id",
            "automation_id",
            "fan_id",
            "entry_key",
            name=op.f("uq_executions_creator_id_automation_id_fan_id_entry_key"),
        ),
    )
    op.create_index("ix_executions_fan", "executions", ["creator_id", "fan_id"])
    op.create_index(
        "ix_executions_state", "executions", ["creator_id", "automation_id", "state"], unique=False
    )
    op.create_table(
        "fans",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("zone", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("subscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "attributes",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "tags",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_fans_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_fans")),
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("mapping_hash", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("kept", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("known", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_imports_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_imports")),
        sa.UniqueConstraint(
            "creator_id",
            "content_hash",
            "mapping_hash",
            name=op.f("uq_imports_creator_id_content_hash_mapping_hash"),
        ),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("tx", Xid8(), server_default=sa.text("pg_current_xact_id()"), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("account_id", sa.Text(), nullable=True),
        sa.Column("campaign_id", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("value_micros", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "received_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "properties",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "value_micros is null or currency is not null", name=op.f("ck_inbox_money_has_currency")
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_inbox_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("creator_id", "event_id", name=op.f("uq_inbox_creator_id_event_id")),
    )
    op.create_index("ix_inbox_arrival", "inbox", ["tx", "id"], unique=False)
    op.create_index(
        "ix_inbox_campaign",
        "inbox",
        ["creator_id", "campaign_id", "name"],
        postgresql_where=sa.text("campaign_id is not null"),
    )
    op.create_index("ix_inbox_fan", "inbox", ["creator_id", "fan_id", "occurred_at"])
    op.create_table(
        "looks",
        sa.Column("experiment_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_looks_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("experiment_id", "step", "creator_id", name=op.f("pk_looks")),
    )
    op.create_table(
        "members",
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("left_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_members_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "segment_id", "fan_id", "entered_at", "creator_id", name=op.f("pk_members")
        ),
    )
    op.create_index(
        "ix_members_current",
        "members",
        ["creator_id", "segment_id", "fan_id"],
        unique=True,
        postgresql_where=sa.text("left_at is null"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Text(), nullable=False),
        sa.Column("rule_hash", sa.Text(), server_default="", nullable=False),
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Integer(), server_default="0", nullable=False),
        sa.Column("occurrence", sa.Text(), server_default="", nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("variant_id", sa.Text(), nullable=True),
        sa.Column("template_id", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), server_default="medium", nullable=False),
        sa.Column("topic", sa.Text(), server_default="marketing", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("earliest_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("platform_ref", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("estimated_delivery", sa.DateTime(timezone=True), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state in ('decided','queued','claimed','sent','failed','skipped','expired','unknown','cancelled')",
            name=op.f("ck_messages_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_messages_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_messages")),
        sa.UniqueConstraint(
            "creator_id", "idempotency_key", name=op.f("uq_messages_creator_id_idempotency_key")
        ),
        sa.UniqueConstraint(
            "creator_id",
            "source",
            "source_id",
            "fan_id",
            "step",
            "occurrence",
            name=op.f("uq_messages_creator_id_source_source_id_fan_id_step_occurrence"),
        ),
    )
    op.create_index(
        "ix_messages_account",
        "messages",
        ["account_id"],
        unique=False,
        postgresql_where=sa.text("state in ('decided','queued','claimed')"),
    )
    op.create_index(
        "ix_messages_ref",
        "messages",
        ["account_id", "platform_ref"],
        postgresql_where=sa.text("platform_ref is not null"),
    )
    for moment in ("queued_at", "sent_at", "ended_at"):
        op.create_index(f"ix_messages_{moment}", "messages", [moment])
    op.create_index(
        "ix_messages_claimed",
        "messages",
        ["lease_until"],
        unique=False,
        postgresql_where=sa.text("state = 'claimed'"),
    )
    op.create_index(
        "ix_messages_fan", "messages", ["creator_id", "fan_id", "sent_at"], unique=False
    )
    op.create_index(
        "ix_messages_relay",
        "messages",
        ["not_before"],
        unique=False,
        postgresql_where=sa.text("state = 'decided'"),
    )
    op.create_index(
        "ix_messages_source",
        "messages",
        ["creator_id", "source", "source_id", "state"],
        unique=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("import_id", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("row", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_quarantine_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_quarantine")),
    )
    op.create_index(
        "ix_quarantine_open", "quarantine", ["creator_id", "import_id", "state"], unique=False
    )
    op.create_table(
        "segments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("criteria", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("is_dynamic", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refreshed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_segments_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_segments")),
    )
    op.create_table(
        "steps",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("message_id", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_steps_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_steps")),
        sa.UniqueConstraint(
            "creator_id",
            "execution_id",
            "position",
            name=op.f("uq_steps_creator_id_execution_id_position"),
        ),
    )
    op.create_index(
        "ix_steps_due",
        "steps",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "suppressions",
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("normalised", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_suppressions_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "platform", "normalised", "creator_id", name=op.f("pk_suppressions")
        ),
    )
    op.create_table(
        "templates",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("platforms", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "default_settings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "variables",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
        ),
        sa.Column("rule_hash", sa.Text(), nullable=False),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_templates_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_templates")),
    )
    op.create_table(
        "consents",
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("granted", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id", "fan_id"],
            ["fans.creator_id", "fans.id"],
            name=op.f("fk_consents_creator_id_fan_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_consents_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("fan_id", "topic", "creator_id", name=op.f("pk_consents")),
    )
    op.create_table(
        "experiments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), server_default="clicked", nullable=False),
        sa.Column("window_s", sa.Integer(), nullable=False),
        sa.Column("planned_n", sa.Integer(), nullable=True),
        sa.Column("alpha", sa.Float(), server_default="0.05", nullable=False),
        sa.Column("minimum_s", sa.Integer(), server_default="86400", nullable=False),
        sa.Column("state", sa.Text(), server_default="running", nullable=False),
        sa.Column("winner_variant_id", sa.Text(), nullable=True),
        sa.Column("fallback_variant_id", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id", "campaign_id"],
            ["campaigns.creator_id", "campaigns.id"],
            name=op.f("fk_experiments_creator_id_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_experiments_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "creator_id", name=op.f("pk_experiments")),
    )
    op.create_table(
        "identities",
        sa.Column("fan_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("normalised", sa.Text(), nullable=False),
        sa.Column("last_inbound_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["creator_id", "fan_id"],
            ["fans.creator_id", "fans.id"],
            name=op.f("fk_identities_creator_id_fan_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"],
            ["creators.id"],
            name=op.f("fk_identities_creator_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("fan_id", "platform", "creator_id", name=op.f("pk_identities")),
        sa.UniqueConstraint(
            "creator_id",
            "platform",
            "account_id",
            "normalised",
            name=op.f("uq_identities_creator_id_platform_account_id_normalised"),
        ),
    )
    op.create_index("ix_identities_address", "identities", ["platform", "normalised"], unique=False)
    op.create_table(
        "variants",
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Float(), server_default="1", nullable=False),
        sa.Column("template_id", sa.Text(), nullable=True),
        sa.Column(
            "variables",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("creator_id", sa.Text(), nullable=False),
        sa.CheckConstraint("weight >= 0", name=op.f("ck_variants_weight_not_negative")),
        sa.ForeignKeyConstraint(
            ["creator_id", "campaign_id"],
            ["campaigns.creator_id", "campaigns.id"],
            name=op.f("fk_variants_creator_id_campaign_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["creator_id"], ["creators.id"], name=op.f("fk_variants_creator_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("campaign_id", "id", "creator_id", name=op.f("pk_variants")),
    )
    _walls()


TENANT = (
    "accounts",
    "attempts",
    "audit",
    "automation_versions",
    "automations",
    "campaigns",
    "consents",
    "costs",
    "executions",
    "experiments",
    "fans",
    "identities",
    "imports",
    "inbox",
    "looks",
    "members",
    "messages",
    "quarantine",
    "segments",
    "steps",
    "suppressions",
    "templates",
    "variants",
)
DROPS = (
    "variants",
    "identities",
    "experiments",
    "consents",
    "templates",
    "suppressions",
    "steps",
    "segments",
    "quarantine",
    "messages",
    "members",
    "looks",
    "inbox",
    "imports",
    "fans",
    "executions",
    "costs",
    "campaigns",
    "automations",
    "automation_versions",
    "attempts",
    "accounts",
    "creators",
    "checkpoints",
    "audit",
)
APPEND_ONLY = ("audit", "automation_versions", "inbox")


def _walls() -> None:
    """Create the two roles, and on every tenant table the policies that bind them.

    `force` binds the owner too, so that not even a connection that forgot its role reads across.
    """
    for role in ("huntaze_app", "huntaze_worker"):
        op.execute(
            f"do $$ begin create role {role} nologin nosuperuser nobypassrls;"
            " exception when duplicate_object or unique_violation then null; end $$"
        )
        op.execute(f"grant {role} to current_user")
        op.execute(f"grant usage on schema public to {role}")
    for table in (*TENANT, "creators"):
        key = "id" if table == "creators" else "creator_id"
        mine = f"{key} = current_setting('huntaze.creator_id', true)"
        if table == "creators":
            mine += " or key_hash = current_setting('huntaze.key_hash', true)"
        op.execute(f"alter table {table} enable row level security")
        op.execute(f"alter table {table} force row level security")
        op.execute(f"create policy tenant on {table} to huntaze_app using ({mine})")
        op.execute(f"create policy machinery on {table} to huntaze_worker using (true)")
        verbs = "select, insert" if table in APPEND_ONLY else "select, insert, update, delete"
        op.execute(f"grant {verbs} on {table} to huntaze_app")
        op.execute(f"grant select, insert, update, delete on {table} to huntaze_worker")
    op.execute("revoke insert, delete on creators from huntaze_app")
    op.execute("grant select, insert, update, delete on checkpoints to huntaze_worker")


def downgrade() -> None:
    for table in DROPS:
        op.drop_table(table)
    for role in ("huntaze_app", "huntaze_worker"):
        op.execute(f"revoke usage on schema public from {role}")
