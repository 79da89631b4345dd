"""Delivers the webhooks of automations' steps: claim, send, note, try again later.

At least once: a request is claimed for a while before it is sent, so one whose process died is
sent again; its `webhook-id` stays the same. No transaction is open while we wait for a server, for
that would hold up every reader of the inbox.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline import hashing
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.webhooks import signing
from huntaze_pipeline.webhooks.wire import Answer, Wire

ATTEMPTS = 8
LEASE = timedelta(seconds=60)
FIRST, LONGEST = timedelta(seconds=15), timedelta(hours=6)
FAIR = 10
"""Requests of one creator in a round, so that its slow server holds up nobody else's for long."""

_CLAIM = text(
    """
    update effects e set attempts = e.attempts + 1, due_at = :until
    from (
        select p.creator_id, p.id from (
            select f.creator_id, f.id, f.due_at, row_number() over (
                       partition by f.creator_id order by f.due_at, f.id) as turn
            from effects f
            join executions x on x.creator_id = f.creator_id and x.id = f.execution_id
                and x.state <> 'paused'
            where f.state = 'pending' and f.kind = 'webhook' and f.due_at <= :now
              and not exists (select from automations a where a.creator_id = f.creator_id
                              and a.id = f.automation_id and a.paused_at is not null)) as p
        where p.turn <= :fair order by p.due_at, p.id limit :limit) as due
    where e.creator_id = due.creator_id and e.id = due.id and e.state = 'pending'
      and e.due_at <= :now
    returning e.creator_id, e.id, e.execution_id, e.automation_id, e.fan_id, e.position,
              e.rule_hash, e.body, e.attempts, e.decided_at
    """
)
_NOTE = text(
    """
    insert into webhook_attempts (creator_id, effect_id, number, at, status, reason, answer,
                                  took_ms)
    values (:creator, :id, :number, :at, :status, :reason, :answer, :took)
    on conflict do nothing
    """
)
_SETTLE = text(
    """
    update effects set state = :state, reason = :reason, due_at = coalesce(:due, due_at),
        done_at = case :state when 'pending' then null else cast(:at as timestamptz) end
    where creator_id = :creator and id = :id and state = 'pending' and attempts = :number
    """
)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a round did."""

    sent: int
    failed: int
    """Given up for good."""
    later: int


def deliver(
    store: Store, master: bytes, now: datetime, *, wire: Wire | None = None, limit: int = 50
) -> Delivered:
    """Send the requests that are due, all at once, and note what came of each.

    Args:
        store: the database.
        master: HUNTAZE_WEBHOOK_SECRET, of which each creator's secret is derived.
        now: the round's instant.
        wire: how requests are made.
        limit: how many at once.
    """
    with store.worker() as connection:
        values = {"now": now, "until": now + LEASE, "limit": limit, "fair": FAIR}
        rows = connection.execute(_CLAIM, values).mappings().all()
    if not rows:
        return Delivered(0, 0, 0)
    answers = asyncio.run(_all(rows, master, now, wire or Wire()))
    states = []
    for row, answer in zip(rows, answers, strict=True):
        with store.worker() as connection:
            states.append(_settle(connection, row, answer, now))
    return Delivered(*(states.count(state) for state in ("delivered", "failed", "pending")))


async def _all(rows: Sequence[Any], master: bytes, now: datetime, wire: Wire) -> list[Answer]:
    return await asyncio.gather(*(_one(row, master, now, wire) for row in rows))


async def _one(row: Any, master: bytes, now: datetime, wire: Wire) -> Answer:
    body = content(row)
    shared = signing.secret(master, row["creator_id"])
    own = {key.lower(): value for key, value in (row["body"].get("headers") or {}).items()}
    fixed = {"user-agent": "Huntaze-Webhooks/1", **signing.headers(shared, row["id"], now, body)}
    return await wire.post(row["body"]["url"], body, {**own, **fixed})


def content(row: Any) -> bytes:
    """Return the exact bytes of a request: who, why, and what the rule says under `data`."""
    document = {
        "id": row["id"], "type": "automation.webhook", "timestamp": row["decided_at"].isoformat(),
        "creator": row["creator_id"], "fan": row["fan_id"], "automation": row["automation_id"],
        "execution": row["execution_id"], "step": row["position"], "ruleHash": row["rule_hash"],
        "data": row["body"].get("body") or {},
    }  # fmt: skip
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def backoff(name: str, number: int, asked_s: float | None = None) -> timedelta:
    """Return how long to wait after the attempt with this number (1 is the first).

    Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): anywhere between nothing
    and a bound that grows fourfold, drawn from the request's id, so that it can be told again.
    """
    bound = min(LONGEST, FIRST * 4 ** (number - 1))
    drawn = bound * hashing.fraction("webhook", name, str(number))
    asked = timedelta(seconds=min(asked_s or 0, LONGEST.total_seconds()))
    return max(drawn, asked, timedelta(seconds=1))


def _settle(connection: Connection, row: Any, answer: Answer, now: datetime) -> str:
    """Note an attempt and what becomes of its request; return the state."""
    at = now + timedelta(milliseconds=answer.took_ms)
    number = row["attempts"]
    names = {"creator": row["creator_id"], "id": row["id"], "number": number, "at": at}
    result = {"status": answer.status, "reason": answer.reason, "answer": answer.text}
    connection.execute(_NOTE, {**names, **result, "took": answer.took_ms})
    state = "pending"
    if answer.reason is None:
        state = "delivered"
    elif answer.final or number >= ATTEMPTS:
        state = "failed"
    due = at + backoff(row["id"], number, answer.wait_s) if state == "pending" else None
    connection.execute(_SETTLE, {**names, "state": state, "reason": answer.reason, "due": due})
    return state
