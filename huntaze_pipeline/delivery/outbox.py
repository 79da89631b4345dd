"""The outbox: where decisions become rows, once.

Here: writing decisions, skips too. Not here: moving them on (`relay`) or making them (planners).
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.plain import storable
from huntaze_pipeline.rulebook.decision import Decision

_CHUNK = 5000
_FIELDS = tuple(field.name for field in fields(Decision))
_RECORD = text("""
    insert into messages (creator_id, id, source, source_id, rule_hash, fan_id, step, occurrence,
        platform, account_id, address, variant_id, template_id, subject, content, priority, topic,
        state, reason, earliest_at, not_before, expires_at, idempotency_key, snapshot_id,
        decided_at, ended_at)
    select creator_id, message_id, source, source_id, rule_hash, fan_id, step, occurrence,
        platform, account_id, address, variant_id, template_id, subject, content, priority, topic,
        state, reason, earliest_at, not_before, expires_at, idempotency_key, snapshot_id,
        decided_at, case state when 'skipped' then decided_at end
    from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, message_id text, source text, source_id text, rule_hash text,
        fan_id text, step int, occurrence text, platform text, account_id text, address text,
        variant_id text, template_id text, subject text, content text, priority text, topic text,
        state text, reason text, earliest_at timestamptz, not_before timestamptz,
        expires_at timestamptz, idempotency_key text, snapshot_id bigint, decided_at timestamptz)
    on conflict do nothing
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
    new = total = 0
    chunk: list[dict[str, Any]] = []
    for decision in decisions:
        chunk.append(_row(decision))
        if len(chunk) == _CHUNK:
            new += _write(connection, chunk)
            total += len(chunk)
            chunk = []
    if chunk:
        new += _write(connection, chunk)
        total += len(chunk)
    return Recorded(new, total - new)


def _row(decision: Decision) -> dict[str, Any]:
    row = {name: storable(getattr(decision, name)) for name in _FIELDS}
    return row | {
        "message_id": decision.message_id,
        "idempotency_key": storable(decision.idempotency_key),
    }


def _write(connection: Connection, rows: list[dict[str, Any]]) -> int:
    payload = json.dumps(rows, default=lambda value: value.isoformat())
    return connection.execute(_RECORD, {"rows": payload}).rowcount
