"""The gates of law 7 as they stood at each moment of the past: the live `judge`, former facts.

Consent, suppression, account, reply window and zone are those of the decision's own moment; the
messages that count for caps are those that really went, and those of the rule that is tried.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from huntaze_pipeline import clock
from huntaze_pipeline.campaigns import gates
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies
from huntaze_pipeline.store.address import normal

_ASKING: dict[str, Any] = {
    "position": pl.Int64, "creator_id": pl.String, "fan_id": pl.String, "topic": pl.String,
    "platform": pl.String, "account_id": pl.String, "normalised": pl.String,
    "seen_at": pl.Datetime("us", "UTC"), "imported": pl.Boolean,
}  # fmt: skip
Fan = tuple[str, str]
Contacts = dict[Fan, dict[str, dict[str, Any]]]
"""By fan and message: the rows of messages that went, or were going to."""
_REPLIES = """
    select a.position, max(e.occurred_at) as at
    from asking a join past_events e
        on e.creator_id = a.creator_id and e.fan_id = a.fan_id and e.platform = a.platform
        and e.name = 'replied' and (e.receipt or a.imported) and e.seen_at <= a.seen_at
    group by a.position
"""
_KNOWN = """
    select a.position, p.zone,
           case when c.until is not null then
                    case when a.imported
                           or cast(json_extract_string(c.body, '$.changed_at') as timestamptz)
                              <= a.seen_at
                         then cast(json_extract_string(c.body, '$.granted') as boolean) end
                when a.imported or d.changed_at <= a.seen_at then d.granted end as consent,
           case when s.until is not null
                     and cast(json_extract_string(s.body, '$.created_at') as timestamptz)
                         <= a.seen_at
                then json_extract_string(s.body, '$.reason')
                when t.created_at <= a.seen_at then t.reason
                when b.created_at <= a.seen_at then b.reason end as suppressed,
           case when u.until is not null then json_extract_string(u.body, '$.status')
                when a.imported or v.created_at <= a.seen_at then v.status end as account,
           greatest(r.at, case when i.last_inbound_at <= a.seen_at then i.last_inbound_at end)
               as last_inbound_at
    from asking a
    left join ({profile}) p on p.position = a.position
    asof left join old_consents c on c.creator_id = a.creator_id
        and c.id = a.fan_id || chr(31) || a.topic and a.seen_at < c.until
    left join new_consents d on d.creator_id = a.creator_id
        and d.id = a.fan_id || chr(31) || a.topic
    asof left join old_suppressions s on s.creator_id = a.creator_id
        and s.id = a.platform || chr(31) || a.normalised and a.seen_at < s.until
    left join new_suppressions t on t.creator_id = a.creator_id
        and t.id = a.platform || chr(31) || a.normalised
    left join {barred} b on b.platform = a.platform and b.normalised = a.normalised
    asof left join old_accounts u on u.creator_id = a.creator_id and u.id = a.account_id
        and a.seen_at < u.until
    left join new_accounts v on v.creator_id = a.creator_id and v.id = a.account_id
        and v.platform = a.platform
    left join ({replies}) r on r.position = a.position
    left join {identities} i on i.creator_id = a.creator_id and i.fan_id = a.fan_id
        and i.platform = a.platform
    order by a.position
"""


def screen(
    past: Past,
    decisions: Sequence[Decision],
    policies: Policies,
    *,
    imported: Collection[str] = (),
    instead_of: tuple[str, str] | None = None,
    in_force: Callable[[datetime], Policies] | None = None,
    contacts: Contacts | None = None,
) -> list[Decision]:
    """Judge decisions in the order of their moments; return them in that order.

    Args:
        past: whose `who` holds the fans.
        decisions: as the planner made them.
        policies: what holds.
        imported: ids of messages whose event came from a file.
        instead_of: source and id of the rule that is tried: its real messages do not count, for
            these stand in their place.
        in_force: the policies of a moment, where they changed meanwhile.
        contacts: the other messages that count; None: what `sent` returns.
    """
    batch = sorted(decisions, key=lambda d: (d.decided_at, d.not_before, d.step, d.message_id))
    open_ones = [d for d in batch if d.state == "decided"]
    known = _Known.of(past, open_ones, set(imported))
    contacts = sent(past, instead_of) if contacts is None else contacts
    judged: dict[int, Decision] = {}
    for n, decision in enumerate(open_ones):
        mine = contacts[(decision.creator_id, decision.fan_id)]
        ruling = in_force(decision.decided_at) if in_force else policies
        facts = known.facts(n, decision, _moments(mine, decision, ruling))
        verdict = gates.judge(facts, ruling, decision.decided_at)
        judged[id(decision)] = after = gates.applied(decision, verdict)
        if after.state == "decided":
            went = mine.get(after.message_id)  # delivery may have put it off since
            mine[after.message_id] = (
                went | {"not_before": after.not_before} if went else _simulated(after)
            )
    return [judged.get(id(decision), decision) for decision in batch]


def seen(past: Past, decision: Decision, policies: Policies, *, imported: bool) -> gates.Facts:
    """Return what the gates saw of one message at the moment of its decision."""
    known = _Known.of(past, [decision], {decision.message_id} if imported else set())
    mine = sent(past, None)[(decision.creator_id, decision.fan_id)]
    return known.facts(0, decision, _moments(mine, decision, policies))


def sent(past: Past, instead_of: tuple[str, str] | None) -> Contacts:
    """Return the real messages of the numbered fans that were sent or going to be."""
    besides = "true"
    if instead_of:
        besides = f"not (m.source = '{instead_of[0]}' and m.source_id = $other)"
    query = f"""
        select m.creator_id, m.fan_id, m.id, m.topic, m.source, m.source_id, m.state,
               m.not_before, m.decided_at, m.sent_at, m.ended_at
        from {past.table("messages")} m semi join who
            on who.creator_id = m.creator_id and who.fan_id = m.fan_id
        where m.state in ('decided', 'queued', 'claimed', 'sent', 'unknown', 'failed', 'expired',
                          'cancelled') and {besides}
    """
    contacts: Contacts = defaultdict(dict)
    for row in _rows(past, query, {"other": instead_of[1]} if instead_of else {}):
        contacts[(row["creator_id"], row["fan_id"])][row["id"]] = row
    return contacts


def _rows(past: Past, query: str, values: Any = None) -> list[dict[str, Any]]:
    return list(past.con.execute(query, values or {}).pl().iter_rows(named=True))


def _simulated(decision: Decision) -> dict[str, Any]:
    at = max(decision.not_before, decision.decided_at)
    return {
        "topic": decision.topic, "state": "sent", "decided_at": decision.decided_at,
        "not_before": at, "sent_at": at, "ended_at": at,
    }  # fmt: skip


def _moments(
    mine: dict[str, dict[str, Any]], decision: Decision, policies: Policies
) -> list[datetime]:
    """When capped messages went to the fan, or were to go, as far as it was known by then."""
    if not mine:
        return []
    now, own, found = decision.decided_at, decision.message_id, []
    for name, row in mine.items():
        if name == own or row["decided_at"] > now:
            continue
        if not policies.topic(row["topic"]).capped:
            continue
        gone = row["state"] in ("failed", "expired", "cancelled")
        if gone and row["ended_at"] is not None and row["ended_at"] <= now:
            continue
        planned = max(row["not_before"], row["decided_at"])
        went = row["sent_at"] is not None and row["sent_at"] <= now
        found.append(row["sent_at"] if went else planned)
    return found


def _ask(past: Past, decisions: Sequence[Decision], imported: set[str]) -> None:
    rows = [
        {
            "position": n, "creator_id": d.creator_id, "fan_id": d.fan_id, "topic": d.topic,
            "platform": d.platform, "account_id": d.account_id, "seen_at": d.decided_at,
            "normalised": normal(d.address),
            "imported": bool(imported) and d.message_id in imported,
        }
        for n, d in enumerate(decisions)
    ]  # fmt: skip
    past.con.register("asking_frame", pl.DataFrame(rows, schema=_ASKING).to_arrow())
    past.con.execute("create or replace temp table asking as from asking_frame")
    past.con.unregister("asking_frame")


def _known(past: Past) -> list[dict[str, Any]]:
    """What the gates ask about, by decision, as of its moment."""
    for kind, table in _KINDS.items():
        past.con.execute(
            f"create or replace temp table old_{kind} as select creator_id, id, until, body"
            f" from {past.table('former')} f where kind = '{kind}'"
        )
        past.con.execute(
            f"create or replace temp table new_{kind} as {table.format(table=past.table(kind))}"
        )
    query = _KNOWN.format(
        profile=past.profile("asking"),
        replies=_REPLIES,
        identities=past.table("identities"),
        barred=past.tables.prefix + "barred",
    )
    return _rows(past, query)


_KINDS = {
    "consents": """
        select creator_id, fan_id || chr(31) || topic as id, granted, changed_at
        from {table} semi join asking using (creator_id, fan_id, topic)""",
    "suppressions": """
        select creator_id, platform || chr(31) || normalised as id, reason, created_at
        from {table}""",
    "accounts": "select creator_id, id, platform, status, created_at from {table}",
}


@dataclass(frozen=True)
class _Known:
    """What the gates ask about, of some decisions."""

    rows: list[dict[str, Any]]
    zones: dict[str, str]
    """Of creators."""

    @classmethod
    def of(cls, past: Past, decisions: Sequence[Decision], imported: set[str]) -> "_Known":
        _ask(past, decisions, imported)
        creators = _rows(past, f"select id, zone from {past.table('creators')}")
        return cls(_known(past), {row["id"]: row["zone"] for row in creators})

    def facts(self, n: int, decision: Decision, contacts: Sequence[datetime]) -> gates.Facts:
        row = self.rows[n]
        return gates.Facts(
            platform=decision.platform,
            topic=decision.topic,
            zone=clock.zone(row["zone"], self.zones.get(decision.creator_id) or "UTC"),
            expires_at=decision.expires_at,
            not_before=decision.not_before,
            consent=row["consent"],
            suppressed=row["suppressed"],
            account=row["account"],
            last_inbound_at=row["last_inbound_at"],
            contacts=contacts,
        )
