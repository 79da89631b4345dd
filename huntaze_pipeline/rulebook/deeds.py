"""What a step does besides sending: the row of the effect, with its words filled in. Pure.

Applying them is `effects`' business; requests to servers outside are a worker's.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from huntaze_pipeline import hashing
from huntaze_pipeline.rulebook import templates
from huntaze_pipeline.rulebook.flow import Op
from huntaze_pipeline.rulebook.messages import Recipient, words

CHANGES = ("set", "tag", "untag", "join", "leave")
"""Effects after which conditions may answer differently."""
TELLS = ("emit", "join", "leave")
"""Effects that other automations can react to."""
HOPS = "hops"
"""The property that counts through how many automations an event has come."""
FURTHEST = 8
"""Automations that set each other off in a circle stop there."""


def effect(
    op: Op, recipient: Recipient, row: Mapping[str, Any], moment: datetime
) -> tuple[dict[str, Any] | None, str | None]:
    """Return the row of an effect, or why there is none."""
    if recipient.fan is None:
        return None, "unknown_fan"
    try:
        body = _filled(_said(op), words(recipient))
    except templates.RenderError as error:
        return None, f"render_error: {error}"
    name = hashing.identifier("effect", row["execution_id"], str(row["turn"]))
    if op.kind in TELLS:
        body[HOPS] = _hops(recipient.event) + 1
        if body[HOPS] > FURTHEST:
            return None, f"circle: {FURTHEST} automations have set each other off"
    same = ("creator_id", "execution_id", "turn", "position", "rule_hash", "snapshot_id")
    values = {key: row[key] for key in same}
    return values | {
        "id": str(name), "kind": op.kind, "body": body, "due_at": moment,
        "decided_at": row["done_at"],
    }, None  # fmt: skip


def _hops(event: Mapping[str, Any] | None) -> int:
    import json

    found = json.loads((event or {}).get("properties") or "{}").get(HOPS)
    return found if isinstance(found, int) else 0


def _said(op: Op) -> dict[str, Any]:
    """Return what a step says, as JSON-like data."""
    step = op.step
    if step.set is not None:
        return {"attributes": step.set}
    if step.tag is not None or step.untag is not None:
        return {"tags": list(step.tag or step.untag or ())}
    if step.emit is not None:
        return {"event": step.emit.event, "properties": step.emit.properties}
    if step.webhook is not None:
        return step.webhook.plain()
    return {"segment": step.join or step.leave}


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    """Fill in the words of every text."""
    if isinstance(value, str):
        return templates.fill(value, known) if "{{" in value or "{%" in value else value
    if isinstance(value, Mapping):
        return {key: _filled(inner, known) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(inner, known) for inner in value]
    return value
