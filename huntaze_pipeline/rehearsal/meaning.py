"""What a trial's decisions would have meant: days, queues, overlap, purchases, and what live did.

Everything here is counted from decisions that exist already; deciding is `backtest`'s. What fans
bought afterwards is an observation: it happened without these messages, or with others.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from huntaze_pipeline.campaigns.eta import LATENCY_S
from huntaze_pipeline.rehearsal.backtest import Trial
from huntaze_pipeline.rehearsal.mailing import Mailing
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.policies import Policies

AFTER = timedelta(days=7)
"""How long after its message a purchase is looked for."""
NEAR = timedelta(days=1)
"""Other messages to the same fan so close overlap."""
_SAMPLE = 5
_TIMES = {
    "creator_id": pl.String, "fan_id": pl.String, "message_id": pl.String,
    "at": pl.Datetime("us", "UTC"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Queue:
    """One account's messages under its limit."""

    account_id: str
    messages: int
    count: int
    window_s: float
    longest: timedelta
    """The longest that a message would have waited behind others."""
    busiest: str
    """The day with the most messages."""
    peak: int
    drain: timedelta
    """From the first message of the busiest day to the call for its last."""
    late: int
    """Messages whose turn would have come after their expiry."""


def summary(past: Past, trial: Trial, rule: str, policies: Policies) -> dict[str, Any]:
    """Return everything that is told of a trial, as JSON-like data."""
    sent = [d for d in trial.decisions if d.state == "decided"]
    _times(past, sent)
    return {
        "rule": rule, "from": trial.since, "to": trial.until, "events": trial.events,
        "matched": trial.matched, "entered": len(trial.executions),
        "fans": len({(d.creator_id, d.fan_id) for d in trial.decisions}),
        "messages": len(sent), "blocked": dict(_reasons(trial, "skipped")),
        "held": dict(_reasons(trial, "decided")), "steps": dict(_steps(trial)),
        "days": days(sent), "queues": [vars_of(q) for q in queues(past, sent, policies)],
        "overlap": overlap(past, rule), "bought": bought(past),
        "live": against_live(past, trial, rule), "sample": [_shown(d) for d in sent[:_SAMPLE]],
    }  # fmt: skip


def vars_of(queue: Queue) -> dict[str, Any]:
    """Return a queue as JSON-like data; durations in seconds."""
    found = {name: getattr(queue, name) for name in Queue.__slots__}
    return {k: v.total_seconds() if isinstance(v, timedelta) else v for k, v in found.items()}


def _reasons(trial: Trial | Mailing, state: str) -> list[tuple[str, int]]:
    told = (d.reason for d in trial.decisions if d.state == state and d.reason)
    return Counter(reason.split(":")[0] for reason in told).most_common()


def _steps(trial: Trial) -> list[tuple[str, int]]:
    """Steps that made no decision, by what became of them."""
    quiet = (s for s in trial.steps if not s["message_id"])
    return Counter(s["reason"] or s["state"] for s in quiet).most_common()


def _shown(decision: Decision) -> dict[str, Any]:
    names = ("fan_id", "step", "platform", "account_id", "not_before", "reason", "content")
    return {name: getattr(decision, name) for name in names} | {"id": decision.message_id}


def _moment(decision: Decision) -> datetime:
    return max(decision.not_before, decision.decided_at)


def days(sent: Iterable[Decision]) -> list[dict[str, Any]]:
    """Return messages per UTC day and account, in order."""
    counts = Counter((_moment(d).date().isoformat(), d.account_id) for d in sent)
    return [
        {"day": day, "account_id": account, "messages": n}
        for (day, account), n in sorted(counts.items())
    ]


def queues(past: Past, sent: Sequence[Decision], policies: Policies) -> list[Queue]:
    """Let each account send its messages, each in its turn, never faster than its limit."""
    own = {
        row[0]: (row[1], row[2])
        for row in past.con.execute(
            f"select id, limit_count, limit_window_s from {past.table('accounts')}"
        ).fetchall()
    }
    lines: dict[str, list[Decision]] = defaultdict(list)
    for decision in sent:
        lines[decision.account_id].append(decision)
    found = []
    for account, messages in sorted(lines.items()):
        limit = policies.limit(messages[0].platform)
        count, window = own.get(account) or (None, None)
        found.append(line(account, messages, count or limit.count, window or limit.window_s))
    return found


def line(account: str, messages: Sequence[Decision], count: int, window_s: float) -> Queue:
    """Return how one account's messages go out under `count` in any `window_s` seconds."""
    ordered = sorted(messages, key=lambda d: (_moment(d), d.message_id))
    block = timedelta(seconds=window_s + LATENCY_S)
    calls: list[datetime] = []
    for n, decision in enumerate(ordered):
        earliest = calls[n - count] + block if n >= count else _moment(decision)
        calls.append(max(_moment(decision), earliest))
    waits = [at - _moment(d) for at, d in zip(calls, ordered, strict=True)]
    by_day = Counter(_moment(d).date() for d in ordered)
    busiest, peak = max(by_day.items(), key=lambda item: (item[1], item[0]))
    of_day = [n for n, d in enumerate(ordered) if _moment(d).date() == busiest]
    late = sum(
        d.expires_at is not None and at >= d.expires_at
        for at, d in zip(calls, ordered, strict=True)
    )
    drain = calls[of_day[-1]] - _moment(ordered[of_day[0]])
    return Queue(
        account, len(ordered), count, float(window_s), max(waits), busiest.isoformat(), peak,
        drain, late,
    )  # fmt: skip


def _times(past: Past, sent: Sequence[Decision]) -> None:
    rows = [(d.creator_id, d.fan_id, d.message_id, _moment(d)) for d in sent]
    past.con.register("went_frame", pl.DataFrame(rows, schema=_TIMES, orient="row").to_arrow())
    past.con.execute("create or replace temp table went as from went_frame")
    past.con.unregister("went_frame")


def mailed(past: Past, mailing: Mailing, rule: str, policies: Policies) -> dict[str, Any]:
    """Return everything that is told of a campaign's backtest, as JSON-like data."""
    sent = [d for d in mailing.decisions if d.state == "decided"]
    waiting = [d for d in mailing.decisions if d.state == "held"]
    _times(past, sent)
    return {
        "rule": rule, "from": mailing.since, "to": mailing.until,
        "occurrences": mailing.occurrences,
        "fans": len({(d.creator_id, d.fan_id) for d in mailing.decisions}),
        "messages": len(sent), "waiting": len(waiting),
        "arms": dict(sorted(Counter(d.variant_id for d in sent if d.variant_id).items())),
        "blocked": dict(_reasons(mailing, "skipped")), "held": dict(_reasons(mailing, "decided")),
        "days": days(sent), "queues": [vars_of(q) for q in queues(past, sent, policies)],
        "overlap": overlap(past, rule, "campaign"), "bought": bought(past),
        "live": against_live(past, mailing, rule, "campaign"),
        "sample": [_shown(d) for d in sent[:_SAMPLE]],
    }  # fmt: skip


def overlap(past: Past, rule: str, source: str = "automation") -> dict[str, Any]:
    """Count the live messages to the same fans within a day of these, by what sent them."""
    hours = int(NEAR.total_seconds() // 3600)
    rows = past.con.execute(
        f"""
        select m.source || ':' || m.source_id, count(distinct w.message_id),
               count(distinct w.creator_id || chr(31) || w.fan_id)
        from went w join {past.table("messages")} m
            on m.creator_id = w.creator_id and m.fan_id = w.fan_id
            and m.state in ('sent', 'unknown')
            and coalesce(m.sent_at, m.not_before) between w."at" - to_hours({hours})
                and w."at" + to_hours({hours})
        where m.source <> ? or m.source_id <> ?
        group by 1 order by 2 desc, 1
        """,
        [source, rule],
    ).fetchall()
    return {
        "within_hours": hours,
        "with": [{"source": s, "messages": n, "fans": fans} for s, n, fans in rows],
    }


def bought(past: Past) -> dict[str, Any]:
    """Return what those fans bought within `AFTER` of a message; an observation, not an effect."""
    rows = past.con.execute(
        f"""
        select e.currency, count(*), count(distinct e.creator_id || chr(31) || e.fan_id),
               sum(e.value_micros)
        from {past.purchases()} e semi join went w
            on w.creator_id = e.creator_id and w.fan_id = e.fan_id and e.occurred_at > w."at"
            and e.occurred_at <= w."at" + to_days({AFTER.days})
        group by 1 order by 1
        """
    ).fetchall()
    return {
        "label": "observational: what these fans bought anyway, not what the messages brought",
        "within_days": AFTER.days,
        "purchases": [
            {"currency": currency, "purchases": n, "fans": fans, "value": float(micros) / 1e6}
            for currency, n, fans, micros in rows
        ],
    }


_SAME = ("state", "reason", "platform", "account_id", "content", "subject", "not_before")


def against_live(
    past: Past, trial: Trial | Mailing, rule: str, source: str = "automation"
) -> dict[str, Any] | None:
    """Compare with the decisions that live really made of this rule in the period.

    Returns:
        None when the rule made none. A message that has moved on counts by what was decided:
        `sent` was `decided`.
    """
    rows = past.con.execute(
        "select id, fan_id, rule_hash, state, reason, platform, account_id, content, subject,"
        f" not_before, decided_at, ended_at from {past.table('messages')} m"
        " where source = $source and source_id = $rule and decided_at >= $since"
        " and decided_at < $until order by decided_at, id",
        {"source": source, "rule": rule, "since": trial.since, "until": trial.until},
    ).pl()
    if rows.is_empty():
        return None
    theirs = {row["id"]: row for row in rows.iter_rows(named=True)}
    mine = {d.message_id: d for d in trial.decisions}
    both = mine.keys() & theirs.keys()
    other = [n for n in theirs if n in both and differences(mine[n], theirs[n])]
    return {
        "same": len(both) - len(other), "different": len(other),
        "only_live": len(theirs.keys() - both), "only_here": len(mine.keys() - both),
        "examples": [
            {"id": n, "fan_id": theirs[n]["fan_id"], "fields": differences(mine[n], theirs[n])}
            for n in other[:_SAMPLE]
        ],
        "other_version": sum(
            mine[n].rule_hash != theirs[n]["rule_hash"] for n in both
        ),
    }  # fmt: skip


def differences(mine: Decision, theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which a decision is not what was recorded: here, live."""
    found = {}
    refused = skipped(theirs)
    for name in _SAME:
        here, there = getattr(mine, name), theirs[name]
        if name == "state":
            there = "skipped" if refused else "decided"
        if name == "reason" and not refused:
            continue  # a hold's reason gives way to what came later
        if name == "not_before" and theirs["state"] not in ("decided", "queued", "skipped"):
            continue  # delivery moves it for retries
        if here != there:
            found[name] = (here, there)
    return found


def skipped(row: Mapping[str, Any]) -> bool:
    """Say whether a message was refused when it was decided, not by delivery later."""
    return row["state"] == "skipped" and row["ended_at"] == row["decided_at"]
