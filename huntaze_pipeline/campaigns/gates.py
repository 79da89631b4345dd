"""The gates of law 7 that a planner passes: eligible, consent, platform window, cap, quiet hours,
expiry. Circuit and limiter come last, at the sender.

`judge` is pure; `screen` reads what it needs for many decisions at once and applies it. Every "no"
keeps its reason and, where there is one, the instant at which it could be yes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, text

from huntaze_pipeline import clock
from huntaze_pipeline.campaigns import caps, quiet
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.store import volley
from huntaze_pipeline.store.address import normal
from huntaze_pipeline.store.volley import Question, Rows

_KNOWN = text(
    # Each by its key: joined, a few decisions may read whole tables.
    """
    select k.n, c.zone as creator_zone,
           coalesce((select f.zone from fans f
                     where f.creator_id = k.creator_id and f.id = k.fan_id), '') as zone,
           (select s.granted from consents s where s.creator_id = k.creator_id
                and s.fan_id = k.fan_id and s.topic = k.topic) as consent,
           coalesce((select x.reason from suppressions x where x.creator_id = k.creator_id
                         and x.platform = k.platform and x.normalised = k.normalised),
                    (select b.reason from barred b where b.platform = k.platform
                         and b.normalised = k.normalised)) as suppressed,
           (select a.status from accounts a where a.creator_id = k.creator_id
                and a.id = k.account_id and a.platform = k.platform) as account,
           (select max(i.last_inbound_at) filter (where i.platform = k.platform)
                from identities i where i.creator_id = k.creator_id and i.fan_id = k.fan_id
           ) as last_inbound_at
    from jsonb_to_recordset(cast(:keys as jsonb)) as k(
        n int, creator_id text, fan_id text, topic text, platform text, account_id text,
        normalised text)
    join creators c on c.id = k.creator_id
    """
)
_CONTACTS = text(
    # The states that do not count are named: before the table was ever analyzed, an index of the
    # others would look better than the fan's own and read every message of the creator.
    """
    select m.creator_id, m.fan_id, m.id, m.topic,
           case when m.sent_at is not null then m.sent_at
                else greatest(m.not_before, m.decided_at) end as at
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join messages m on m.creator_id = k.creator_id and m.fan_id = k.fan_id
    where m.state not in ('held', 'failed', 'skipped', 'expired', 'cancelled')
      and m.decided_at > :since
    """
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one recipient when a message to them is judged."""

    platform: str
    topic: str
    zone: ZoneInfo
    expires_at: datetime | None
    not_before: datetime
    consent: bool | None = None
    """The newest answer on the topic; None: never asked."""
    suppressed: str | None = None
    """Why the address must never be written to."""
    account: str | None = None
    """The status of our account; None: there is no such account."""
    last_inbound_at: datetime | None = None
    contacts: Sequence[datetime] = ()
    """When capped messages went, or will go, to the fan."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass at once, hold until an instant, or skip; with the reason."""

    outcome: Literal["pass", "hold", "skip"]
    reason: str | None = None
    earliest_at: datetime | None = None


PASS = Verdict("pass")


def judge(facts: Facts, policies: Policies, now: datetime) -> Verdict:
    """Return what is to become of a message, by the first gate that says no.

    The message leaves at the later of `now` and its `not_before`; a hold moves that instant, and
    one that would move it past the expiry is a skip.
    """
    refused = _eligible(facts, policies)
    if refused is not None:
        return refused
    moment = max(now, facts.not_before)
    closed = _window(facts, policies, moment)
    if closed is not None:
        return closed
    held = _room(facts, policies, moment)
    if held is not None and held.outcome == "skip":
        return held
    goes = held.earliest_at if held and held.earliest_at else moment
    return _in_time(facts, policies, goes, held)


def _eligible(facts: Facts, policies: Policies) -> Verdict | None:
    if facts.account is None:
        return Verdict("skip", "no_account")
    if facts.account != "active":
        return Verdict("skip", f"account_{facts.account}")
    if facts.consent is False:
        return Verdict("skip", "consent_withdrawn")
    if facts.consent is None and policies.topic(facts.topic).consent:
        return Verdict("skip", "no_consent")
    if facts.suppressed is not None:
        return Verdict("skip", f"suppressed: {facts.suppressed}")
    return None


def _window(facts: Facts, policies: Policies, moment: datetime) -> Verdict | None:
    """Refuse where a platform takes answers only and the fan has not written lately."""
    window = policies.platform(facts.platform).reply_window
    if window is None:
        return None
    if facts.last_inbound_at is None or moment > facts.last_inbound_at + window:
        return Verdict("skip", "outside_window")
    return None


def _room(facts: Facts, policies: Policies, moment: datetime) -> Verdict | None:
    """Apply caps and quiet hours: the earliest instant at which both let a message through."""
    topic, zone = policies.topic(facts.topic), facts.zone
    limits = policies.file.caps if topic.capped else ()
    hours = policies.quiet_hours if topic.quiet_hours else None

    def opens(at: datetime) -> datetime:
        return quiet.next_open(at, zone, hours) if hours else at

    goes = opens(moment)
    broken = caps.broken(limits, moment, facts.contacts, zone)
    if not broken and goes > moment:
        broken = caps.broken(limits, goes, facts.contacts, zone)
    if broken:
        earliest = caps.first(limits, moment, facts.contacts, zone, opens)
        skip = any(cap.then == "skip" for cap in broken)
        return Verdict("skip" if skip else "hold", "frequency_cap", earliest)
    return Verdict("hold", "quiet_hours", goes) if goes > moment else None


def _in_time(facts: Facts, policies: Policies, moment: datetime, held: Verdict | None) -> Verdict:
    """Refuse what would leave after its expiry or after the platform's window has closed."""
    if facts.expires_at is not None and moment >= facts.expires_at:
        return Verdict("skip", held.reason if held else "expired", moment if held else None)
    if held is None:
        return PASS
    closed = _window(facts, policies, moment)
    return closed or Verdict("hold", held.reason, moment)


def screen(
    connection: Connection, decisions: Iterable[Decision], policies: Policies, now: datetime
) -> list[Decision]:
    """Judge decisions and return them, in order, with what came of it.

    A hold stays `decided` with a later `not_before`; a skip becomes `skipped`. Decisions that are
    skipped already are returned as they are. Messages decided in this batch count for the cap of
    the ones behind them; a decision that was recorded before does not count against itself.
    """
    batch = list(decisions)
    open_ones = [d for d in batch if d.state == "decided"]
    if not open_ones:
        return batch
    known, contacts = volley.ask(
        connection, _asking(open_ones), _contacts(open_ones, policies, now)
    )
    return decide(
        batch, {row.n: row._asdict() for row in known}, _capped(contacts, policies), policies, now
    )


def decide(
    batch: Sequence[Decision],
    known: Mapping[int, Mapping[str, Any]],
    contacts: dict[tuple[str, str], dict[str, datetime]],
    policies: Policies,
    now: datetime,
) -> list[Decision]:
    """Judge decisions by what is known, as `screen` does; pure but for `contacts`, which grows.

    Args:
        batch: the decisions.
        known: by place among those that are `decided`: zone, creator_zone, consent, suppressed,
            account and last_inbound_at.
        contacts: by (creator, fan): when capped messages went or will go, by message.
        policies: the policies in force.
        now: the tick's instant.
    """
    open_ones = [d for d in batch if d.state == "decided"]
    judged: dict[int, Decision] = {}
    for number, decision in enumerate(open_ones):
        mine = contacts.setdefault((decision.creator_id, decision.fan_id), {})
        others = [at for name, at in mine.items() if name != decision.message_id]
        verdict = judge(_facts(decision, known[number], others), policies, now)
        judged[id(decision)] = after = applied(decision, verdict)
        if after.state == "decided" and policies.topic(after.topic).capped:
            mine[after.message_id] = max(after.not_before, now)
    return [judged.get(id(decision), decision) for decision in batch]


def applied(decision: Decision, verdict: Verdict) -> Decision:
    """Return the decision with what came of it."""
    if verdict.outcome == "pass":
        return decision
    if verdict.outcome == "hold":
        assert verdict.earliest_at is not None
        return replace(
            decision,
            not_before=verdict.earliest_at,
            earliest_at=verdict.earliest_at,
            reason=verdict.reason,
        )
    return replace(
        decision, state="skipped", reason=verdict.reason, earliest_at=verdict.earliest_at
    )


def _facts(decision: Decision, row: Mapping[str, Any], contacts: Sequence[datetime]) -> Facts:
    return Facts(
        platform=decision.platform,
        topic=decision.topic,
        zone=clock.zone(row["zone"], row["creator_zone"]),
        expires_at=decision.expires_at,
        not_before=decision.not_before,
        consent=row["consent"],
        suppressed=row["suppressed"],
        account=row["account"],
        last_inbound_at=row["last_inbound_at"],
        contacts=contacts,
    )


def _asking(decisions: Sequence[Decision]) -> Question:
    """Return the question of what is known about the recipients."""
    import json

    keys = [
        {
            "n": n, "creator_id": d.creator_id, "fan_id": d.fan_id, "topic": d.topic,
            "platform": d.platform, "account_id": d.account_id,
            "normalised": normal(d.address),
        }
        for n, d in enumerate(decisions)
    ]  # fmt: skip
    return _KNOWN, {"keys": json.dumps(keys)}


def _contacts(decisions: Sequence[Decision], policies: Policies, now: datetime) -> Question:
    """Return the question of when messages to these fans went or will go; no caps: of nobody."""
    longest = caps.longest(policies.file.caps)
    keys = sorted({(d.creator_id, d.fan_id) for d in decisions}) if longest else []
    # A message may have been decided long before it went: look back by its life as well.
    since = now - (longest or timedelta()) - max(policies.expires_after, timedelta(days=7))
    return _CONTACTS, {
        "creators": [k[0] for k in keys], "fans": [k[1] for k in keys], "since": since,
    }  # fmt: skip


def _capped(rows: Rows, policies: Policies) -> dict[tuple[str, str], dict[str, datetime]]:
    """Return, by fan, when capped messages went or will go, by message."""
    until: dict[tuple[str, str], dict[str, datetime]] = {}
    for row in rows:
        if policies.topic(row.topic).capped:
            until.setdefault((row.creator_id, row.fan_id), {})[row.id] = row.at
    return until
