"""The reaper: claimed rows whose lease ended, because their sender died or lost the answer.

Their intent is in the books, so the call may have been made. A receipt that has come meanwhile
proves that it was. Without one, what follows is the platform's policy: again with the same key, ask
the platform, or leave it to a person. Rows that go again become `decided`: the relay carries them,
and no crash here can lose them.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from huntaze_pipeline.delivery import results
from huntaze_pipeline.delivery.intents import Intent
from huntaze_pipeline.delivery.limiter import Permit
from huntaze_pipeline.delivery.platforms.base import (
    Capabilities,
    Kind,
    Outcome,
    Outgoing,
    Platform,
)
from huntaze_pipeline.delivery.results import Result
from huntaze_pipeline.delivery.verdicts import Resolution, resolve
from huntaze_pipeline.store.session import Store

BATCH = 100
ASK_AGAIN_S = 15.0
GIVE_UP_S = 3600.0
"""A platform that cannot say for this long what became of a call leaves it to a person."""
_TAKE = text("""
    with ended as (
        select creator_id, id from messages
        where state = 'claimed' and lease_until < clock_timestamp()
        order by lease_until limit :limit for update skip locked
    )
    update messages m set lease_until = clock_timestamp() + make_interval(secs => :again)
    from ended e where m.creator_id = e.creator_id and m.id = e.id
    returning m.creator_id, m.id, m.fence, m.attempts, m.platform, m.account_id, m.address,
        m.subject, m.content, m.idempotency_key,
        (select extract(epoch from clock_timestamp() - a.intent_at)::float8 from attempts a
            where a.creator_id = m.creator_id and a.message_id = m.id and a.fence = m.fence
        ) as age_s,
        exists (select from inbox i where i.creator_id = m.creator_id and i.fan_id = m.fan_id
            and i.message_id = m.id and i.source = 'receipt'
            and i.name in ('delivered', 'opened', 'clicked', 'purchase')
        ) as proved
""")
_REQUEUED = text("""
    update messages set state = 'decided', queued_at = null
    where state = 'queued' and (creator_id, id) in (
        select * from unnest(cast(:creators as text[]), cast(:ids as text[])))
""")


@dataclass(frozen=True, slots=True)
class Lapsed:
    """A claim whose lease ended."""

    intent: Intent
    age_s: float
    """Seconds since the intent."""
    proved: bool
    """Whether the fan has it: a receipt says so."""


def take(store: Store) -> list[Lapsed]:
    """Take claimed rows whose lease ended; another reaper will not, for a while."""
    with store.worker() as connection:
        rows = connection.execute(_TAKE, {"limit": BATCH, "again": ASK_AGAIN_S}).all()
    return [Lapsed(_intent(row), row.age_s or GIVE_UP_S, row.proved) for row in rows]


async def ask(
    lapsed: Sequence[Lapsed],
    platforms: Mapping[str, Platform],
    *,
    timeout_s: float,
    give_up_s: float = GIVE_UP_S,
) -> list[Result]:
    """Find out, or decide by policy, what became of calls whose answer was lost."""
    mine = [item for item in lapsed if item.intent.platform in platforms]
    answers = await asyncio.gather(
        *(_ask(item, platforms[item.intent.platform], timeout_s, give_up_s) for item in mine)
    )
    return [answer for answer in answers if answer is not None]


async def _ask(
    item: Lapsed, platform: Platform, timeout_s: float, give_up_s: float
) -> Result | None:
    """None: no answer yet; asked again when the new lease ends."""
    intent, capabilities = item.intent, platform.capabilities
    if item.proved:
        known = Outcome(Kind.SENT, detail="proved by a receipt")
        return Result(intent, known, _resolution(intent, known, capabilities))
    if capabilities.unknown != "look_up":
        lost = Outcome(Kind.UNKNOWN, detail="the sender died after it may have called")
        return Result(intent, lost, _resolution(intent, lost, capabilities))
    outcome = await platform.look_up(intent.outgoing, timeout_s=timeout_s)
    if outcome.kind in (Kind.SENT, Kind.RETRY):
        return Result(intent, outcome, _resolution(intent, outcome, capabilities))
    if item.age_s < give_up_s:
        return None
    reason = "the platform could not say whether it took the message"
    return Result(intent, outcome, Resolution("unknown", Permit.HELD, reason=reason))


def settle(store: Store, found: Sequence[Result], *, now: datetime) -> None:
    """Write what was found; rows that go again wait for the relay."""
    if not found:
        return
    again = [r.intent for r in found if r.resolution.state == "queued"]
    with store.worker() as connection:
        results.write(connection, found, now=now)
        connection.execute(
            _REQUEUED,
            {
                "creators": [i.creator_id for i in again],
                "ids": [i.outgoing.message_id for i in again],
            },
        )


def _resolution(intent: Intent, outcome: Outcome, capabilities: Capabilities) -> Resolution:
    if outcome.kind is Kind.SENT:
        return Resolution("sent", Permit.HELD)
    return resolve(
        outcome, message_id=intent.outgoing.message_id, fence=intent.fence,
        attempts=intent.attempts, capabilities=capabilities,
    )  # fmt: skip


def _intent(row: Any) -> Intent:
    outgoing = Outgoing(
        row.id, row.account_id, row.address, row.subject, row.content, row.idempotency_key
    )
    return Intent(row.creator_id, row.platform, row.fence, row.attempts, outgoing)
