"""Why a fan gets nothing of a rule: the first "no" on the way, and when it could be a yes.

The questions stand in the order in which live asks them: is there such a rule and such a fan, did
its event happen, did the conditions hold, may the fan enter, what became of the entry, and which
gate would refuse.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.rehearsal import looking
from huntaze_pipeline.rehearsal.past import Past
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.explanation import Part, explain
from huntaze_pipeline.rulebook.fields import SEGMENT_EVENTS
from huntaze_pipeline.rulebook.live import LiveAutomation, LiveSegment
from huntaze_pipeline.rulebook.question import triggered

_RULE = text("select is_active from automations where creator_id = :creator and id = :rule")
_ENTRIES = text(
    """
    select e.id, e.entry_key, e.event_id, e.entered_at, e.state, e.reason,
           s.kind, s.position, s.state as step_state, s.reason as step_reason, s.due_at,
           m.id as message_id, m.state as message_state, m.reason as message_reason, m.earliest_at
    from executions e
    left join steps s on s.creator_id = e.creator_id and s.execution_id = e.id
    left join messages m on m.creator_id = e.creator_id and m.id = s.message_id
    where e.creator_id = :creator and e.automation_id = :rule and e.fan_id = :fan
      and e.entered_at <= :at
    order by e.entered_at desc, s.turn, s.id
    """
)
_FAN = text("select 1 from fans where creator_id = :creator and id = :fan")


@dataclass
class WhyNot:
    """The first "no" of a rule for a fan; `gate` is `none` when nothing says no."""

    rule: str
    fan_id: str
    gate: str
    """rule | fan | event | conditions | entry | step | message | none"""
    because: str
    yes_at: datetime | None = None
    """When it could be yes, if nothing but time goes by."""
    yes_if: str | None = None
    """What else would make it a yes."""
    condition: Part | None = None
    event: dict[str, Any] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)

    def text(self) -> str:
        """Return it as lines for a terminal."""
        lines = [f"{self.fan_id} and {self.rule}: {self.gate}", f"  {self.because}"]
        if self.yes_at:
            lines.append(f"  could be yes from {self.yes_at:%Y-%m-%d %H:%M} UTC on")
        if self.yes_if:
            lines.append(f"  could be yes when {self.yes_if}")
        if self.condition:
            lines += ["", *(f"  {line}" for line in self.condition.lines())]
        return "\n".join(lines)


def automation(
    connection: Connection,
    past: Past,
    rule: LiveAutomation,
    fan: str,
    at: datetime,
    event_id: str | None = None,
) -> WhyNot:
    """Say why a fan got nothing of an automation up to an instant.

    Args:
        connection: PostgreSQL.
        past: opened, of the rule's creator.
        rule: the version to ask.
        fan: its id.
        at: the instant; nothing that came later is looked at.
        event_id: the event that should have led to a message; default: the newest of its kind.
    """
    values = {"creator": rule.creator_id, "rule": rule.id, "fan": fan, "at": at}
    answer = WhyNot(f"automation {rule.id}", fan, "none", "nothing says no")
    state = connection.execute(_RULE, values).first()
    if connection.execute(_FAN, values).first() is None:
        return _no(answer, "fan", "unknown_fan: there is no such fan", yes_if="the fan is imported")
    event = _event(past, rule, fan, at, event_id)
    if event is None:
        name, segment = rule.rule.trigger.event, rule.rule.trigger.properties.get("segment")
        if name not in SEGMENT_EVENTS or segment is None:
            return _no(
                answer, "event", f"no {name!r} of this fan is known", yes_if=f"{name} comes in"
            )
        verb = "came into" if name == SEGMENT_EVENTS[0] else "left"
        because = f"the fan never {verb} segment {segment!r} since its first evaluation"
        because += ", which tells nobody"
        return _no(answer, "event", because, yes_if=f"{name} of {segment!r} comes in")
    answer.event = event
    rows = [dict(row) for row in connection.execute(_ENTRIES, values).mappings()]
    mine = [row for row in rows if row["event_id"] == event["event_id"]]
    if mine:
        return _entered(answer, mine)
    refused = _trigger(answer, past, rule, event) or _conditions(answer, past, rule, event)
    if refused is not None:
        return refused
    if rows:
        return _again(answer, rule, event, rows[0])
    if state is None or not state.is_active:
        what = "is not live" if state is None else "is not active"
        return _no(answer, "rule", f"the automation {what}", yes_if="it is made live")
    return _no(answer, "rule", "the event came before this version was live, or has not been read"
               " yet", yes_if="the event comes again")  # fmt: skip


def segment(past: Past, rule: LiveSegment, fan: str, at: datetime) -> WhyNot:
    """Say why a fan is not in a segment as of an instant."""
    answer = WhyNot(f"segment {rule.id}", fan, "none", "the fan is in the segment")
    if rule.rule.fans is not None:
        if fan in rule.rule.fans:
            return answer
        return _no(answer, "conditions", "not in its list", yes_if="the id is added to the list")
    condition = parse(rule.rule.where, ("fan",))
    looking.relate(past, looking.nothing(rule.creator_id, fan, at), [condition])
    return _asked(answer, explain(past.con, condition))


def _no(answer: WhyNot, gate: str, because: str, **more: Any) -> WhyNot:
    answer.gate, answer.because = gate, because
    for name, value in more.items():
        setattr(answer, name, value)
    return answer


def _event(
    past: Past, rule: LiveAutomation, fan: str, at: datetime, event_id: str | None
) -> dict[str, Any] | None:
    """The event to ask about: the one named, or the newest of the trigger's name.

    Raises:
        NotFoundError: an event was named and is not there.
    """
    if event_id is None:
        name = rule.rule.trigger.event
        return next(iter(looking.last(past, rule.creator_id, fan, name, at)), None)
    event = looking.event(past, rule.creator_id, event_id)
    if event is None or event["fan_id"] != fan:
        raise NotFoundError(f"there is no event {event_id!r} of {fan}")
    return event


def _trigger(
    answer: WhyNot, past: Past, rule: LiveAutomation, event: dict[str, Any]
) -> WhyNot | None:
    looking.relate(past, event, [parse(rule.rule.conditions)])
    trigger = rule.rule.trigger
    bare = triggered(rule.rule.model_copy(update={"conditions": None}))
    asked = f"event.name = ? and ({bare.sql})"
    row = past.con.execute(
        f"select {asked} from event join fan using (position)", [trigger.event]
    ).fetchone()
    if row and row[0]:
        return None
    wanted = [
        trigger.event,
        *trigger.platform,
        *(f"{k}={v}" for k, v in trigger.properties.items()),
    ]
    because = f"{event['name']} {event['event_id']} is not what triggers it: {', '.join(wanted)}"
    return _no(answer, "event", because, yes_if="an event comes in that is")


def _conditions(
    answer: WhyNot, past: Past, rule: LiveAutomation, event: dict[str, Any]
) -> WhyNot | None:
    part = explain(past.con, parse(rule.rule.conditions))
    if part is None or part.holds:
        return None
    _asked(answer, part)
    answer.because = f"at {event['name']} {event['event_id']}: {answer.because}"
    return answer


def _asked(answer: WhyNot, part: Part | None) -> WhyNot:
    """Name the first part of a condition that does not hold."""
    first = part.first_no() if part is not None else None
    if part is None or first is None:
        return answer
    values = ", ".join(f"{k} = {v}" for k, v in first.values.items())
    because = f"{first.text} does not hold{f' ({values})' if values else ''}"
    _no(answer, "conditions", because, condition=part, yes_at=part.yes_at)
    if part.yes_at is None:
        answer.yes_if = f"{first.text} holds"
    return answer


def _entered(answer: WhyNot, rows: list[dict[str, Any]]) -> WhyNot:
    """Say what became of an entry: its first message or step that said no."""
    answer.history = rows
    if rows[0]["state"] == "held_out":
        return _no(answer, "entry", "holdout: the fan is kept out on purpose, to compare with")
    for row in rows:
        if row["message_state"] in ("skipped", "failed", "expired", "cancelled", "unknown"):
            because = f"{row['message_state']}: {row['message_reason'] or 'no reason was kept'}"
            return _no(answer, "message", because, yes_at=row["earliest_at"])
        if row["step_state"] in ("skipped", "cancelled") and row["message_id"] is None:
            because = f"step {row['position']} ({row['kind']}): {row['step_state']},"
            return _no(answer, "step", f"{because} {row['step_reason']}")
        if row["step_state"] == "waiting":
            because = f"step {row['position']} ({row['kind']}) waits"
            return _no(answer, "step", because, yes_at=row["due_at"])
    states = ", ".join(r["message_state"] for r in rows if r["message_state"])
    return _no(answer, "none", f"it went its way: {states or 'no message is part of it'}")


def _again(
    answer: WhyNot, rule: LiveAutomation, event: dict[str, Any], last: dict[str, Any]
) -> WhyNot:
    """Say why a fan who had entered before may not enter again."""
    entry = rule.rule.entry
    since = f"{last['entered_at']:%Y-%m-%d %H:%M} UTC"
    if entry.once:
        return _no(answer, "entry", f"enters once, and did so at {since}")
    if entry.every and abs(event["occurred_at"] - last["entered_at"]) < entry.every:
        at = last["entered_at"] + entry.every
        return _no(
            answer, "entry", f"enters every {entry.every} at most, last at {since}", yes_at=at,
            yes_if=f"{rule.rule.trigger.event} comes in then",
        )  # fmt: skip
    if entry.per:
        return _no(answer, "entry", f"enters once for each {entry.per}, last at {since}",
                   yes_if="another one comes in")  # fmt: skip
    return _no(answer, "rule", "the event has not been read yet, or came before the rule was live")
