"""Intents: the last gates and the claim, committed for a whole batch before any call.

One UPDATE checks everything that may have changed since the decision, takes the fence and writes
the attempt row. Without a committed intent nothing is sent; with one, a crash is visible.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery import books, pauses
from huntaze_pipeline.delivery.limiter import Grant, LostError
from huntaze_pipeline.delivery.platforms.base import Outgoing
from huntaze_pipeline.store import address, outflow
from huntaze_pipeline.store.session import Store

_ADDRESS = address.sql("m.address")
_CLAIM = text(f"""
    with asked as (
        select * from jsonb_to_recordset(cast(:asked as jsonb))
            as a(creator_id text, id text, account_id text, handle text)
    ),
    judged as materialized (
        select m.creator_id, m.id, m.priority, m.not_before,
            case
                when m.state not in ('queued', 'decided') then 'gone'
                when m.account_id <> asked.account_id then 'elsewhere'
                when :books and not exists (select from permits p
                    where p.creator_id = m.creator_id and p.handle = asked.handle
                        and p.until > clock_timestamp()) then 'void'
                when m.expires_at <= :now then 'expired'
                when m.not_before > :now then 'early'
                when exists (select 1 from suppressions s
                    where s.creator_id = m.creator_id and s.platform = m.platform
                        and s.normalised = {_ADDRESS})
                    or exists (select 1 from barred b where b.platform = m.platform
                        and b.normalised = {_ADDRESS}) then 'suppressed'
                when exists (select 1 from consents k
                    where k.creator_id = m.creator_id and k.fan_id = m.fan_id
                        and k.topic = m.topic and not k.granted) then 'consent_withdrawn'
                when c.status = 'cancelled' then '{outflow.CAMPAIGN_CANCELLED}'
                when c.status = 'paused' then 'campaign_paused'
                when r.paused_at is not null then 'automation_paused'
{pauses.VERDICTS}
                when a.status is distinct from 'active'
                    then 'account_' || coalesce(a.status, 'missing')
                else 'go'
            end as verdict
        from asked
        join messages m on m.creator_id = asked.creator_id and m.id = asked.id
        left join campaigns c on m.source = 'campaign'
            and c.creator_id = m.creator_id and c.id = m.source_id
        left join automations r on m.source = 'automation'
            and r.creator_id = m.creator_id and r.id = m.source_id
        left join accounts a on a.id = m.account_id
        for update of m skip locked
    ),
    moved as (
        update messages m set
            state = case j.verdict when 'go' then 'claimed' when 'expired' then 'expired'
                when 'suppressed' then 'skipped' when 'consent_withdrawn' then 'skipped'
                when '{outflow.CAMPAIGN_CANCELLED}' then 'cancelled' else 'decided' end,
            reason = nullif(j.verdict, 'go'),
            fence = m.fence + (j.verdict = 'go')::int,
            worker = case j.verdict when 'go' then :worker end,
            lease_until = case j.verdict when 'go'
                then clock_timestamp() + make_interval(secs => :lease) end,
            ended_at = case when j.verdict in ('expired', 'suppressed', 'consent_withdrawn',
                '{outflow.CAMPAIGN_CANCELLED}') then :now end
        from judged j
        where m.creator_id = j.creator_id and m.id = j.id
            and j.verdict not in ('gone', 'elsewhere', 'early', 'void')
        returning m.*
    ),
    written as (
        insert into attempts (creator_id, message_id, fence, account_id, worker, intent_at)
        select creator_id, id, fence, account_id, :worker, clock_timestamp()
        from moved where state = 'claimed'
    )
    select asked.creator_id, asked.id,
        coalesce(j.verdict, case when l.priority is null then 'missing' else 'locked' end)
            as verdict,
        case j.verdict when 'early' then extract(epoch from j.not_before - :now)::float8
            end as early_s,
        coalesce(j.priority, l.priority, '') = 'high' as high, v.fence, v.attempts, v.platform,
        v.account_id, v.address, v.subject, v.content, v.idempotency_key
    from asked
    left join judged j on j.creator_id = asked.creator_id and j.id = asked.id
    left join moved v on v.creator_id = asked.creator_id and v.id = asked.id
    left join lateral (select m.priority from messages m
        where j.id is null and m.creator_id = asked.creator_id and m.id = asked.id limit 1
    ) l on true
""")


LOCKED_S = 0.2
"""A row that the relay has rung for and not committed yet is looked at again after this long."""
_REPLACED = text("delete from permits where handle = any(:handles)")
_PENDING = text(f"""
    select exists (select 1 from messages where state in ('queued', 'claimed')
        or :decided and state = 'decided' and not_before <= :now and {pauses.OPEN})
""")


@dataclass(frozen=True, slots=True)
class Intent:
    """A message that may be called for now: the intent is in the books."""

    creator_id: str
    platform: str
    fence: int
    attempts: int
    outgoing: Outgoing


@dataclass(frozen=True, slots=True)
class Stop:
    """A message that may not go now, and why.

    gone, missing, elsewhere (a note put it on another account's queue, whose permit is not for it),
    void (the permit ended), expired, suppressed, consent_withdrawn,
    campaign_cancelled, campaign_paused, automation_paused, all_paused, platform_paused,
    account_<status>: done with here.
    early, locked: look again after `wait_s`.
    """

    reason: str
    wait_s: float | None = None


def commit(
    store: Store, grants: Sequence[Grant], *, epoch: str, worker: str, lease_s: float, now: datetime
) -> list[Intent | Stop]:
    """Pass every grant's message through the gates; return the answers in the same order.

    Raises:
        LostError: the limiter's memory was replaced after these grants were given.
    """
    asked: dict[tuple[str, str], Grant] = {}
    for grant in grants:
        asked.setdefault((grant.creator_id, grant.message_id), grant)
    payload = json.dumps(
        [
            {"creator_id": c, "id": m, "account_id": g.account_id, "handle": g.handle}
            for (c, m), g in sorted(asked.items(), key=lambda item: item[0])
        ]
    )
    values = {"asked": payload, "now": now, "worker": worker, "lease": lease_s}
    with store.worker(idle_s=books.IDLE_S) as connection:
        connection.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": books.LOCK})
        known = books.position(connection)
        if known.get("epoch") != epoch:
            raise LostError("the limiter was rebuilt after these permits were given")
        ours = bool(known.get("books"))
        rows = connection.execute(_CLAIM, values | {"books": ours}).all()
        if ours:  # the attempt counts from here on in the permit's place
            went = [asked[r.creator_id, r.id].handle for r in rows if r.verdict == "go"]
            connection.execute(_REPLACED, {"handles": went})
    found = {(row.creator_id, row.id): row for row in rows}
    given: set[tuple[str, str]] = set()
    answers: list[Intent | Stop] = []
    for grant in grants:
        key = (grant.creator_id, grant.message_id)
        answers.append(Stop("gone") if key in given else _answer(found[key]))
        given.add(key)
    return answers


def pending(connection: Connection, now: datetime, *, decided: bool) -> bool:
    """Whether any message is on its way (or, with `decided`, due to be)."""
    return bool(connection.scalar(_PENDING, {"now": now, "decided": decided}))


def _answer(row: Any) -> Intent | Stop:
    if row.verdict == "go":
        outgoing = Outgoing(
            row.id, row.account_id, row.address, row.subject, row.content, row.idempotency_key
        )
        return Intent(row.creator_id, row.platform, row.fence, row.attempts, outgoing)
    if row.verdict == "early":
        return Stop("early", max(0.05, row.early_s))
    if row.verdict == "locked":
        return Stop("locked", 0.05 if row.high else LOCKED_S)
    return Stop(row.verdict)
