"""Why a message is what it is: the whole chain, from the event to the platform's answer.

Everything is read from what was kept, and asked again as of the moment of the decision. A message
that was not sent is explained in the same way: its chain ends where the "no" was said.
"""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.rehearsal import gatekeeper, ladder, looking
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook import live
from huntaze_pipeline.rulebook.conditions import Condition, parse
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.rulebook.explanation import Part, explain
from huntaze_pipeline.rulebook.policies import Policies

_MESSAGE = text("select * from messages where id = :id")
_STEPS = text(
    """
    select s.turn, s.position, s.kind, s.began_at, s.due_at, s.state, s.reason, s.message_id,
           s.done_at, coalesce(s.rule_hash, e.rule_hash) as rule_hash, e.id as execution_id,
           e.event_id, e.entered_at, e.entry_key, e.state as execution_state
    from executions e join steps s on s.creator_id = e.creator_id and s.execution_id = e.id
    where e.creator_id = :creator and e.id = (
        select execution_id from steps where creator_id = :creator and message_id = :id limit 1)
    order by s.turn, s.id
    """
)
_VERSION = text(
    """
    select body ->> 'commit' as commit, created_at from automation_versions
    where creator_id = :creator and automation_id = :rule and rule_hash = :hash
    """
)
_ATTEMPTS = text(
    """
    select fence, account_id, worker, intent_at, result_at, outcome, status_code, detail
    from attempts where creator_id = :creator and message_id = :id order by fence
    """
)
_AFTER = text(
    """
    select event_id, name, occurred_at from inbox
    where creator_id = :creator and message_id = :id order by occurred_at, id
    """
)
_LIMIT = text(
    "select limit_count, limit_window_s from accounts where creator_id = :creator and id = :account"
)
_PAUSED = text(
    """
    select scope || '_paused' from pauses
    where scope = 'all' or scope = 'platform' and name = :platform
    union all select 'account_paused' from accounts where id = :account and status = 'paused'
    """
)


@dataclass
class Why:
    """The chain of one message."""

    message: dict[str, Any]
    event: dict[str, Any] | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    """The fan's fields as of the decision."""
    conditions: dict[str, Part] = field(default_factory=dict)
    """By what asked: `automation`, `step`, or a segment of the audience."""
    rule: dict[str, Any] = field(default_factory=dict)
    steps: list[dict[str, Any]] = field(default_factory=list)
    """The way of the fan through the automation."""
    gates: list[ladder.Rung] = field(default_factory=list)
    limiter: dict[str, Any] = field(default_factory=dict)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    afterwards: list[dict[str, Any]] = field(default_factory=list)


def explain_message(connection: Connection, past: Past, message: str, policies: Policies) -> Why:
    """Return the chain of a message.

    Args:
        connection: PostgreSQL, as the message's creator or the machinery.
        past: opened; of the message's creator.
        message: its id.
        policies: those in force.

    Raises:
        NotFoundError: there is no such message.
    """
    why = Why(lookup(connection, message))
    row = why.message
    values = {"creator": row["creator_id"], "id": row["id"]}
    why.steps = [dict(r) for r in connection.execute(_STEPS, values).mappings()]
    if row["source"] == "automation":
        _automation(connection, past, why)
    else:
        asker = looking.nothing(row["creator_id"], row["fan_id"], row["decided_at"])
        why.facts = looking.relate(past, asker, ())
        why.rule = {"source": row["source"], "id": row["source_id"], "hash": row["rule_hash"]}
    decision = decided(row)
    imported = bool(why.event and why.event["imported"])
    if row["address"]:
        facts = gatekeeper.seen(past, decision, policies, imported=imported)
        why.gates = ladder.climb(facts, policies, decision.decided_at)
    why.attempts = [dict(r) for r in connection.execute(_ATTEMPTS, values).mappings()]
    why.afterwards = [dict(r) for r in connection.execute(_AFTER, values).mappings()]
    why.limiter = _limiter(connection, why, policies)
    return why


def lookup(connection: Connection, message: str) -> dict[str, Any]:
    """Return a message's row.

    Raises:
        NotFoundError: there is no such message.
    """
    row = connection.execute(_MESSAGE, {"id": message}).mappings().first()
    if row is None:
        raise NotFoundError(
            f"there is no message {message!r}; the id is what sending it told, and `message_id` of"
            " its events"
        )
    return dict(row)


def decided(row: dict[str, Any]) -> Decision:
    """Return a message's row as it was decided, before gates moved it."""
    names = {f.name for f in fields(Decision) if f.init} & row.keys()
    values = {name: row[name] for name in names}
    return Decision(**{**values, "state": "decided", "reason": None, "key": row["idempotency_key"]})


def _automation(connection: Connection, past: Past, why: Why) -> None:
    row = why.message
    name = (row["creator_id"], row["source_id"], row["rule_hash"])
    version = live.versions(connection, [name]).get(name)
    values = {"creator": name[0], "rule": name[1], "hash": name[2]}
    kept = connection.execute(_VERSION, values).mappings().first()
    why.rule = {
        "source": "automation", "id": name[1], "hash": name[2],
        "commit": kept and kept["commit"], "live_since": kept and kept["created_at"],
        "name": version and version.rule.name,
    }  # fmt: skip
    mine = next((s for s in why.steps if s["message_id"] == row["id"]), None)
    if mine is None:
        return
    why.event = looking.event(past, row["creator_id"], mine["event_id"])
    asker = why.event or looking.nothing(row["creator_id"], row["fan_id"], mine["entered_at"])
    if (mine["turn"] > 0 and mine["began_at"] > asker["moment"]) or mine["due_at"] > asker["now"]:
        asker = looking.later(asker, mine["due_at"], row["decided_at"])
    asked = _asked(version, mine["position"]) if version else {}
    why.facts = looking.relate(past, asker, asked.values())
    for who, condition in asked.items():
        part = explain(past.con, condition)
        if part is not None:
            why.conditions[who] = part


def _asked(version: live.LiveAutomation, position: int) -> dict[str, Condition]:
    op = version.program.at(position)
    step = op.step.conditions if op is not None else None
    return {"automation": parse(version.rule.conditions), "step": parse(step)}


def _limiter(connection: Connection, why: Why, policies: Policies) -> dict[str, Any]:
    """What the limiter made of it: how long it waited for its turn."""
    row = why.message
    own = connection.execute(
        _LIMIT, {"creator": row["creator_id"], "account": row["account_id"]}
    ).first()
    limit = policies.limit(row["platform"])
    count, window = (own.limit_count, own.limit_window_s) if own else (None, None)
    calls = [a["intent_at"] for a in why.attempts]
    asked = max(row["not_before"], row["queued_at"] or row["decided_at"])
    waited = (calls[0] - asked).total_seconds() if calls else None
    return {
        "account": row["account_id"], "limit": f"{count or limit.count} in any"
        f" {window or limit.window_s} s", "due_at": row["not_before"],
        "slot_at": calls[0] if calls else None, "waited_s": waited,
        "paused": ", ".join(_paused(connection, row)) or None,
    }  # fmt: skip


def _paused(connection: Connection, row: dict[str, Any]) -> list[str]:
    """What holds the message now, if it waits."""
    if row["state"] not in ("held", "decided", "queued"):
        return []
    return list(
        connection.execute(
            _PAUSED, {"platform": row["platform"], "account": row["account_id"]}
        ).scalars()
    )


def text_of(why: Why) -> str:
    """Return the chain as lines for a terminal."""
    row = why.message
    lines = [
        f"message {row['id']}: {row['state']}{_because(row)}",
        f"  to {row['fan_id']} of {row['creator_id']} by {row['platform']} ({row['account_id']})",
    ]
    lines += _part("event", _event_lines(why))
    known = {k: v for k, v in why.facts.items() if k not in ("position", "known", "creator_id")}
    lines += _part("facts as of then", [f"{k} = {_plain(v)}" for k, v in known.items()])
    for who, part in why.conditions.items():
        lines += _part(f"conditions of the {who}", list(part.lines()))
    lines += _part("rule", [f"{k}: {_plain(v)}" for k, v in why.rule.items() if v is not None])
    lines += _part("way", [_step_line(step) for step in why.steps])
    lines += _part("gates", [rung.line for rung in why.gates])
    lines += _part("limiter", [f"{k}: {_plain(v)}" for k, v in why.limiter.items()])
    lines += _part("platform", [_attempt_line(a) for a in why.attempts])
    lines += _part(
        "afterwards",
        [f"{e['occurred_at']:%Y-%m-%d %H:%M:%S} {e['name']}" for e in why.afterwards],
    )
    return "\n".join(lines)


def _because(row: dict[str, Any]) -> str:
    reason = f", {row['reason']}" if row["reason"] else ""
    at = row["earliest_at"]
    return reason + (f" (yes from {at:%Y-%m-%d %H:%M} UTC on)" if at else "")


def _part(title: str, lines: list[str]) -> list[str]:
    return [f"\n{title}", *(f"  {line}" for line in lines)] if lines else []


def _plain(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)


def _event_lines(why: Why) -> list[str]:
    event = why.event
    if event is None:
        return []
    value = event["value_micros"]
    money = f" {value / 1e6:,.2f} {event['currency']}" if value is not None else ""
    return [
        f"{event['event_id']}: {event['name']}{money}, happened {_plain(event['occurred_at'])},"
        f" known {_plain(event['seen_at'])}",
        f"properties {event['properties']}",
    ]


def _step_line(step: dict[str, Any]) -> str:
    reason = f", {step['reason']}" if step["reason"] else ""
    return (
        f"{step['position']} {step['kind']}: {step['state']}{reason}, due {_plain(step['due_at'])}"
    )


def _attempt_line(attempt: dict[str, Any]) -> str:
    code = f" {attempt['status_code']}" if attempt["status_code"] else ""
    detail = f" {attempt['detail']}" if attempt["detail"] else ""
    answer = f"{attempt['outcome'] or 'no answer'}{code}{detail}"
    return f"called {_plain(attempt['intent_at'])} by {attempt['worker']}: {answer}"
