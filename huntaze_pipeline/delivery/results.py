"""Results: what came of calls, committed for a whole batch, with the facts that follow.

A result counts only under the fence of its claim. `sent` and `failed` become inbox events in the
same transaction, so no send is ever without its event. A late "sent" wins over a guess. What
failed for the last time after an answer was lost is unknown: the lost one may have been a yes.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery.intents import Intent
from huntaze_pipeline.delivery.plain import storable
from huntaze_pipeline.delivery.platforms.base import Kind, Outcome
from huntaze_pipeline.delivery.verdicts import Resolution, later
from huntaze_pipeline.store.session import Store

_ROWS = """
    r as materialized (
        select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(
            creator_id text, id text, fence bigint, state text, counted int,
            not_before timestamptz, platform_ref text, reason text, error text, outcome text,
            status_code int, detail text)
    )
"""
_FACTS = """
    facts as (
        insert into inbox (creator_id, event_id, name, fan_id, platform, account_id, campaign_id,
            message_id, occurred_at, properties, source)
        select creator_id, state || ':' || id, state, fan_id, platform, account_id,
            case source when 'campaign' then source_id end, id, :now,
            jsonb_strip_nulls(jsonb_build_object(
                'automation', case source when 'automation' then source_id end,
                'variant', variant_id, 'template', template_id,
                'reason', case state when 'failed' then reason end)), 'sender'
        from kept where state in ('sent', 'failed')
        on conflict do nothing
    )
"""
_COMMIT = text(f"""
    with {_ROWS},
    kept as (
        update messages m set
            state = case when r.state = 'failed' and r.outcome = 'retry' and exists (
                select from attempts a where a.creator_id = m.creator_id
                    and a.message_id = m.id and a.outcome = 'unknown'
            ) then 'unknown' else r.state end,
            attempts = m.attempts + r.counted,
            not_before = coalesce(r.not_before, m.not_before),
            platform_ref = coalesce(r.platform_ref, m.platform_ref),
            reason = r.reason,
            last_error = coalesce(r.error, m.last_error),
            lease_until = case r.state when 'claimed' then m.lease_until end,
            sent_at = case r.state when 'sent' then cast(:now as timestamptz) end,
            ended_at = case when r.state in ('sent', 'failed', 'unknown')
                then cast(:now as timestamptz) end
        from r
        where m.creator_id = r.creator_id and m.id = r.id and m.fence = r.fence
            and (m.state = 'claimed'  -- "is true": else all are read that an index has in a state
                or r.state = 'sent' and m.state in ('queued', 'decided', 'unknown')) is true
        returning m.*
    ),
    answered as (
        update attempts a set result_at = clock_timestamp(), outcome = r.outcome,
            status_code = r.status_code, detail = r.detail
        from r
        where a.creator_id = r.creator_id and a.message_id = r.id and a.fence = r.fence
    ),
    {_FACTS}
    select creator_id, id from kept
""")
_RELEASE = text("""
    with r as (
        select * from jsonb_to_recordset(cast(:rows as jsonb))
            as r(creator_id text, id text, fence bigint)
    ),
    freed as (
        update messages m set state = 'queued', lease_until = null, worker = null
        from r where m.creator_id = r.creator_id and m.id = r.id and m.fence = r.fence
            and m.state = 'claimed'
    )
    update attempts a set result_at = clock_timestamp(), outcome = 'unused'
    from r where a.creator_id = r.creator_id and a.message_id = r.id and a.fence = r.fence
""")


@dataclass(frozen=True, slots=True)
class Result:
    """One answered call and what it means."""

    intent: Intent
    outcome: Outcome
    resolution: Resolution


def commit(store: Store, results: Sequence[Result], *, now: datetime) -> set[tuple[str, str]]:
    """Write results; return (creator, message) of those whose fence still held."""
    with store.worker() as connection:
        return write(connection, results, now=now)


def write(
    connection: Connection, results: Sequence[Result], *, now: datetime
) -> set[tuple[str, str]]:
    """Write results in the caller's transaction."""
    payload = json.dumps([_row(result, now) for result in results], default=_iso)
    rows = connection.execute(_COMMIT, {"rows": payload, "now": now})
    return {(row.creator_id, row.id) for row in rows}


def release(store: Store, intents: Sequence[Intent]) -> None:
    """Take intents back for which certainly no call was made."""
    payload = json.dumps(
        [
            {"creator_id": i.creator_id, "id": i.outgoing.message_id, "fence": i.fence}
            for i in intents
        ]
    )
    with store.worker() as connection:
        connection.execute(_RELEASE, {"rows": payload})


def _row(result: Result, now: datetime) -> dict[str, Any]:
    outcome, resolution = result.outcome, result.resolution
    failed = outcome.kind is not Kind.SENT
    return {
        "creator_id": result.intent.creator_id,
        "id": result.intent.outgoing.message_id,
        "fence": result.intent.fence,
        "state": resolution.state,
        "counted": int(resolution.counted),
        "not_before": later(now, resolution.wait_s),
        "platform_ref": _plain(outcome.platform_ref),
        "reason": _plain(resolution.reason),
        "error": _plain(outcome.detail or outcome.kind.value) if failed else None,
        "outcome": outcome.kind.value,
        "status_code": outcome.status_code,
        "detail": _plain(outcome.detail),
    }


def _plain(text_: str | None) -> str | None:
    """Make a platform's words storable: no NUL, no half characters, not endless."""
    if text_ is None:
        return None
    return storable(text_)[:500]


def _iso(value: datetime) -> str:
    return value.isoformat()
