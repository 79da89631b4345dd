"""The outbox: where decisions become rows, once.

Here: writing decisions, skips and the ones that wait too. Not here: moving them on (`relay`) or
making them (planners).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.plain import storable
from huntaze_pipeline.rulebook.decision import Decision

_CHUNK = 5000
_FIELDS = tuple(field.name for field in fields(Decision))
_RECORD = text("""
    insert into messages (creator_id, id, source, source_id, rule_hash, fan_id, step,
        occurrence, platform, account_id, address, variant_id, followed_variant_id, template_id,
        subject, content, priority, topic, state, reason, earliest_at, not_before, expires_at,
        idempotency_key, snapshot_id, decided_at, ended_at)
    select creator_id, message_id, source, source_id, rule_hash, fan_id, step,
        occurrence, platform, account_id, address, variant_id, followed_variant_id, template_id,
        subject, content, priority, topic, state, reason, earliest_at, not_before, expires_at,
        idempotency_key, snapshot_id, decided_at, case state when 'skipped' then decided_at end
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, message_id text, source text, source_id text, rule_hash text,
        fan_id text, step int, occurrence text, platform text, account_id text, address text,
        variant_id text, followed_variant_id text, template_id text, subject text, content text,
        priority text, topic text, state text, reason text, earliest_at timestamptz,
        not_before timestamptz, expires_at timestamptz, idempotency_key text, snapshot_id bigint,
        decided_at timestamptz)
    on conflict do nothing
""")
_RELEASE = text("""
    update messages m set
        rule_hash = r.rule_hash, platform = r.platform, account_id = r.account_id,
        address = r.address, followed_variant_id = r.followed_variant_id,
        template_id = r.template_id, subject = r.subject, content = r.content,
        priority = r.priority, topic = r.topic, state = r.state, reason = r.reason,
        earliest_at = r.earliest_at, not_before = r.not_before, expires_at = r.expires_at,
        snapshot_id = r.snapshot_id, decided_at = r.decided_at,
        ended_at = case r.state when 'skipped' then r.decided_at end
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, message_id text, rule_hash text, platform text, account_id text,
        address text, followed_variant_id text, template_id text, subject text, content text,
        priority text, topic text, state text, reason text, earliest_at timestamptz,
        not_before timestamptz, expires_at timestamptz, snapshot_id bigint, decided_at timestamptz)
    where m.creator_id = r.creator_id and m.id = r.message_id and m.state = 'held'
""")


@dataclass(frozen=True, slots=True)
class Recorded:
    """How many decisions were new, and how many had been made before."""

    new: int
    known: int


def record(connection: Connection, decisions: Iterable[Decision]) -> Recorded:
    """Write decisions in the caller's transaction; one that is there already changes nothing.

    Skips are written too, with their reason. A conflict (same decision, or same idempotency key
    of the creator) counts as known and is never an error (law 1).
    """
    total, new = _written(connection, _RECORD, decisions)
    return Recorded(new, total - new)


def release(connection: Connection, decisions: Iterable[Decision]) -> int:
    """Decide rows that are `held`, in the caller's transaction; return how many were.

    A row that is not held any more (released, expired or cancelled before) stays as it is.
    """
    return _written(connection, _RELEASE, decisions)[1]


def _written(
    connection: Connection, statement: Any, decisions: Iterable[Decision]
) -> tuple[int, int]:
    """Write in chunks; return how many were given and how many rows changed."""
    total = changed = 0
    rest = iter(decisions)
    while chunk := list(islice(rest, _CHUNK)):
        payload = json.dumps([_row(d) for d in chunk], default=lambda value: value.isoformat())
        changed += connection.execute(statement, {"rows": payload}).rowcount
        total += len(chunk)
    return total, changed


def _row(decision: Decision) -> dict[str, Any]:
    row = {name: storable(getattr(decision, name)) for name in _FIELDS}
    return row | {
        "message_id": decision.message_id,
        "idempotency_key": storable(decision.idempotency_key),
    }
