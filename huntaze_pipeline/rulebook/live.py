"""Rules as they are live: what the database holds of a creator, read back into the internal form.

Rules written by files and rules posted to the API come out the same.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import Problem, RuleError
from huntaze_pipeline.rulebook import seed
from huntaze_pipeline.rulebook.conditions import parse
from huntaze_pipeline.rulebook.schema import Automation, Segment, Template


@dataclass(frozen=True)
class LiveAutomation:
    """An automation of one creator, with the templates that it sends."""

    creator_id: str
    id: str
    rule: Automation
    rule_hash: str
    templates: dict[str, Template]


@dataclass(frozen=True)
class LiveSegment:
    """A segment of one creator."""

    creator_id: str
    id: str
    rule: Segment


_AUTOMATIONS = text(
    """
    select a.creator_id, a.id, a.name, a.trigger, a.conditions, a.actions, a.is_active,
           a.rule_hash
    from automations a
    where a.is_active and (cast(:creators as text[]) is null or a.creator_id = any(:creators))
    order by a.creator_id, a.id
    """
)
_TEMPLATES = text(
    """
    select creator_id, id, name, category, content, platforms, default_settings, variables
    from templates where creator_id = any(:creators)
    """
)
_SEGMENTS = text(
    """
    select creator_id, id, name, criteria, is_dynamic from segments
    where cast(:creators as text[]) is null or creator_id = any(:creators)
    order by creator_id, id
    """
)


def automations(
    connection: Connection,
    creators: Iterable[str] | None = None,
    faults: list[Problem] | None = None,
) -> list[LiveAutomation]:
    """Return the active automations, of some creators or of all that the connection sees.

    Args:
        connection: PostgreSQL.
        creators: whose; None for all.
        faults: where to note rows that cannot be read; the others are returned all the same, so
            that one creator's broken rule stops nobody else's.

    Raises:
        RuleError: a row cannot be read, and no list for faults was given.
    """
    wanted = None if creators is None else sorted(set(creators))
    rows = connection.execute(_AUTOMATIONS, {"creators": wanted}).mappings().all()
    noted: list[Problem] = [] if faults is None else faults
    known = templates(connection, {row["creator_id"] for row in rows}, noted)
    found = []
    for row in rows:
        try:
            found.append(_automation(dict(row), known.get(row["creator_id"], {})))
        except RuleError as error:
            noted += error.problems
    if faults is None and noted:
        raise RuleError(noted)
    return found


def _automation(row: dict[str, Any], known: dict[str, Template]) -> LiveAutomation:
    data = seed.automation(
        {
            "name": row["name"], "active": row["is_active"], "actions": row["actions"],
            "trigger": {k: v for k, v in row["trigger"].items() if k != "entry"},
            "conditions": row["conditions"], "entry": row["trigger"].get("entry") or {},
        }
    )  # fmt: skip
    try:
        rule = Automation.model_validate(data)
        for where in (rule.conditions, *(action.conditions for action in rule.actions)):
            parse(where)
    except ValueError as error:
        where = f"automation {row['creator_id']}/{row['id']}"
        raise RuleError([Problem(where, str(error))]) from None
    used = {a.template for a in rule.actions if a.template}
    content = {name: known[name] for name in used if name in known}
    return LiveAutomation(row["creator_id"], row["id"], rule, row["rule_hash"], content)


def templates(
    connection: Connection, creators: Iterable[str], faults: list[Problem] | None = None
) -> dict[str, dict[str, Template]]:
    """Return the templates by creator and id; what cannot be read is left out and noted."""
    found: dict[str, dict[str, Template]] = {}
    for row in connection.execute(_TEMPLATES, {"creators": sorted(set(creators))}).mappings():
        try:
            found.setdefault(row["creator_id"], {})[row["id"]] = template(dict(row))
        except RuleError as error:
            if faults is not None:
                faults += error.problems
    return found


def template(row: dict[str, Any]) -> Template:
    """Read one row; what lacks English speaks its first language everywhere.

    Raises:
        RuleError: the row holds something that is no template.
    """
    content = row["content"]
    for copies in content.values():
        if copies and "en" not in copies:
            copies["en"] = next(iter(copies.values()))
    try:
        return Template.model_validate(
            {
                "name": row["name"], "category": row["category"], "content": content,
                "platforms": row["platforms"], "settings": row["default_settings"],
                "variables": row["variables"],
            }
        )  # fmt: skip
    except ValueError as error:
        raise RuleError([Problem(f"template {row['id']}", str(error))]) from None


def segments(connection: Connection, creators: Iterable[str] | None = None) -> list[LiveSegment]:
    """Return the segments, of some creators or of all that the connection sees."""
    wanted = None if creators is None else sorted(set(creators))
    rows = connection.execute(_SEGMENTS, {"creators": wanted}).mappings()
    return [_segment(dict(row)) for row in rows]


def _segment(row: dict[str, Any]) -> LiveSegment:
    criteria = dict(row["criteria"])
    known = {key: criteria[key] for key in ("where", "fans") if key in criteria}
    data = known or ({"where": criteria} if criteria else {"fans": []})
    try:
        rule = Segment.model_validate({"name": row["name"], **data})
    except ValueError as error:
        raise RuleError([Problem(f"segment {row['id']}", str(error))]) from None
    return LiveSegment(row["creator_id"], row["id"], rule)
