"""Receipts: what platforms tell us about messages, turned into events.

A receipt names its message by our id or by the platform's reference. It is taken once. Its side
effects happen in the same transaction: a bounce suppresses the address, an unsubscribe withdraws
consent, a reply opens the reply window, a delivery proves that a message was sent. A receipt for
a message that nobody knows goes to the quarantine, whole. Not here: signatures (the API's).
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.delivery import effects
from huntaze_pipeline.delivery.plain import storable
from huntaze_pipeline.errors import Problem
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event, faults, micros

NAMES = {
    "delivered": "delivered", "opened": "opened", "clicked": "clicked", "bought": "purchase",
    "bounced": "bounced", "replied": "replied", "unsubscribed": "unsubscribed",
    "complained": "complained",
}  # fmt: skip
"""Kinds of receipts and the events they become."""
_FIND = text("""
    with asked as (
        select * from jsonb_to_recordset(cast(:rows as jsonb))
            as a(line int, message_id text, account_id text, platform_ref text)
    ),
    found as (
        select a.line, m.id, m.creator_id from asked a join messages m on m.id = a.message_id
        union all
        select a.line, m.id, m.creator_id from asked a
        join messages m on m.account_id = a.account_id and m.platform_ref = a.platform_ref
        where a.message_id is null
    )
    select f.line, m.creator_id, m.id, m.fan_id, m.platform, m.account_id, m.source, m.source_id,
        m.variant_id, m.template_id, m.topic, m.address, c.currency
    from found f
    join messages m on m.creator_id = f.creator_id and m.id = f.id
    join creators c on c.id = m.creator_id
""")
_QUARANTINE = text("""
    insert into quarantine (creator_id, import_id, file, row, field, reason, raw)
    select :creator, 'receipts', 'webhook', :row, 'message_id', :reason, cast(:raw as jsonb)
    where not exists (select 1 from quarantine where creator_id = :creator
        and import_id = 'receipts' and raw ->> 'id' = :id)
""")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch of receipts."""

    new: int
    known: int
    """Taken before; nothing was changed."""
    rejected: list[Problem]
    """Not taken: malformed, or of a message and an account that nobody knows."""
    quarantined: int = 0
    """Kept whole, because their message is not known (yet)."""


@dataclass(frozen=True, slots=True)
class _Receipt:
    line: int
    id: str
    kind: str
    raw: Mapping[str, Any]
    occurred_at: datetime


def accept(
    connection: Connection, receipts: Sequence[Mapping[str, Any]], now: datetime
) -> Accepted:
    """Take receipts in the caller's transaction (the machinery's: they name any creator)."""
    problems: list[Problem] = []
    read = [_read(line, raw, problems) for line, raw in enumerate(receipts)]
    fine = [receipt for receipt in read if receipt is not None]
    messages = _messages(connection, fine)
    events: list[tuple[_Receipt, Any, Event]] = []
    for receipt in fine:
        if receipt.line in messages:
            event = _event(receipt, messages[receipt.line], now, problems)
            if event is not None:
                events.append((receipt, messages[receipt.line], event))
    fresh = _fresh(connection, events)
    for receipt, message, _ in fresh:
        effects.apply(connection, receipt.kind, receipt.occurred_at, message, now)
    appended = inbox.append(connection, [event for _, _, event in fresh])
    strangers = [r for r in fine if r.line not in messages]
    kept = _quarantine(connection, strangers, problems)
    return Accepted(appended.new, len(events) - appended.new, problems, kept)


def _read(line: int, raw: object, problems: list[Problem]) -> _Receipt | None:
    where = f"receipts[{line}]"
    if not isinstance(raw, Mapping):
        problems.append(Problem(where, "must be an object"))
        return None
    return _checked(line, storable(dict(raw)), problems)


def _checked(line: int, raw: dict[str, Any], problems: list[Problem]) -> _Receipt | None:
    where = f"receipts[{line}]"
    found = [
        Problem(f"{where}.{name}", "must be a text of 1 to 200 characters")
        for name in ("id", "kind", "occurred_at")
        if not _is_text(raw.get(name))
    ]
    if not found and raw["kind"] not in NAMES:
        found.append(Problem(f"{where}.kind", f"{raw['kind']!r} is none of {', '.join(NAMES)}"))
    if not (_is_text(raw.get("message_id")) or _is_text(raw.get("platform_ref"))):
        found.append(Problem(f"{where}.message_id", "name the message: message_id or platform_ref"))
    at = _instant(raw.get("occurred_at"))
    if at is None and _is_text(raw.get("occurred_at")):
        what = f"{raw['occurred_at']!r} is no instant with a zone, such as 2026-03-02T12:00:00Z"
        found.append(Problem(f"{where}.occurred_at", what))
    problems += found
    if found or at is None:
        return None
    return _Receipt(line, raw["id"], raw["kind"], raw, at)


def _messages(connection: Connection, receipts: Sequence[_Receipt]) -> dict[int, Any]:
    asked = [
        {
            "line": r.line,
            "message_id": r.raw.get("message_id") or None,
            "account_id": r.raw.get("account_id"),
            "platform_ref": r.raw.get("platform_ref"),
        }
        for r in receipts
    ]
    rows = connection.execute(_FIND, {"rows": json.dumps(asked)})
    return {row.line: row for row in rows}


def _event(receipt: _Receipt, message: Any, now: datetime, problems: list[Problem]) -> Event | None:
    where = f"receipts[{receipt.line}]"
    raw = receipt.raw
    value = None
    if receipt.kind == "bought":
        try:
            value = micros(raw.get("value"))  # type: ignore[arg-type]
        except ValueError as error:
            problems.append(Problem(f"{where}.value", str(error)))
            return None
    event = Event(
        creator_id=message.creator_id, event_id=f"receipt:{receipt.id}",
        name=NAMES[receipt.kind], fan_id=message.fan_id, platform=message.platform,
        account_id=message.account_id, message_id=message.id, occurred_at=receipt.occurred_at,
        campaign_id=message.source_id if message.source == "campaign" else None,
        value_micros=value, currency=_currency(raw, message) if value is not None else None,
        source="receipt", properties=effects.properties(raw, message),
    )  # fmt: skip
    found = faults(event, now, where)
    problems += found
    return None if found else event


def _currency(raw: Mapping[str, Any], message: Any) -> str:
    return str(raw.get("currency") or message.currency)


def _fresh(
    connection: Connection, events: Sequence[tuple[_Receipt, Any, Event]]
) -> list[tuple[_Receipt, Any, Event]]:
    """Leave out those that were taken before, so that their effects happen once."""
    by: dict[str, list[str]] = defaultdict(list)
    for _, _, event in events:
        by[event.creator_id].append(event.event_id)
    known = {
        (creator, event_id)
        for creator, ids in by.items()
        for event_id in connection.execute(
            text("select event_id from inbox where creator_id = :c and event_id = any(:ids)"),
            {"c": creator, "ids": ids},
        ).scalars()
    }
    fresh = []
    for item in events:
        key = (item[2].creator_id, item[2].event_id)
        if key not in known:
            fresh.append(item)
            known.add(key)
    return fresh


def _quarantine(
    connection: Connection, strangers: Sequence[_Receipt], problems: list[Problem]
) -> int:
    """Keep receipts whose message is not known, in the rows of the account's creator."""
    accounts = {str(r.raw["account_id"]) for r in strangers if _is_text(r.raw.get("account_id"))}
    if not strangers:
        return 0
    rows = connection.execute(
        text("select id, creator_id from accounts where id = any(:ids)"), {"ids": list(accounts)}
    )
    owner = {row.id: row.creator_id for row in rows}
    kept = 0
    for receipt in strangers:
        creator = owner.get(str(receipt.raw.get("account_id")))
        if creator is None:
            what = "neither the message nor the account is known"
            problems.append(Problem(f"receipts[{receipt.line}].message_id", what))
            continue
        reason = "no such message"
        connection.execute(
            _QUARANTINE,
            {
                "creator": creator, "row": receipt.line + 1, "reason": reason,
                "raw": json.dumps(dict(receipt.raw)), "id": receipt.id,
            },
        )  # fmt: skip
        kept += 1
    return kept


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else None
