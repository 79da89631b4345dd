"""Rules as they are live: what the database holds of a creator, read back into the internal form.

Rules written by files and rules posted to the API come out the same.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from sqlalchemy import Connection, text

from huntaze_pipeline.errors import Problem, RuleError
from huntaze_pipeline.rulebook import flow, seed
from huntaze_pipeline.rulebook.conditions import Condition, parse
from huntaze_pipeline.rulebook.inquiry import Inquiry
from huntaze_pipeline.rulebook.schema import Automation, Segment, Template
from huntaze_pipeline.store import volley


@dataclass(frozen=True)
class LiveAutomation:
    """An automation of one creator, with the templates that it sends."""

    creator_id: str
    id: str
    rule: Automation
    rule_hash: str
    templates: dict[str, Template]
    paused: bool = False
    """Nobody enters and nobody goes on until it is resumed."""

    @cached_property
    def program(self) -> flow.Program:
        """Its steps as operations."""
        return flow.program(self.rule)

    @cached_property
    def inquiry(self) -> Inquiry:
        """What it asks, worked out once for all batches."""
        return Inquiry(self.rule, self.rule_hash, self.program)

    @cached_property
    def asked(self) -> list[Condition]:
        """Every condition of it, read."""
        return [parse(where) for where in conditions(self.rule)]


Version = tuple[str, str, str]
"""(creator_id, automation_id, rule_hash)"""


@dataclass(frozen=True)
class LiveSegment:
    """A segment of one creator."""

    creator_id: str
    id: str
    rule: Segment


_AUTOMATIONS = text(
    """
    select a.creator_id, a.id, a.name, a.trigger, a.conditions, a.actions, a.steps, a.settings,
           a.is_active, a.rule_hash, a.paused_at is not null as paused
    from automations a
    where a.is_active and (cast(:creators as text[]) is null or a.creator_id = any(:creators))
    order by a.creator_id, a.id
    """
)
_STAMP = text(
    """
    select md5(coalesce(string_agg(row, ',' order by row), '')) from (
        select concat_ws('/', creator_id, id, xmin, ctid) as row from automations
        where is_active and (cast(:creators as text[]) is null or creator_id = any(:creators))
        union all
        select concat_ws('/', creator_id, id, xmin, ctid) from templates
        where cast(:creators as text[]) is null or creator_id = any(:creators)) as rows
    """
)
"""Changes with every writing of a row."""
_SHARE = text("select pg_advisory_xact_lock_shared(:key)")
DECIDING = 0x44454349  # "DECI": shared by ticks that decide, alone for who stops them
_VERSIONS = text(
    """
    select v.creator_id, v.automation_id as id, v.rule_hash, v.body
    from unnest(cast(:creators as text[]), cast(:ids as text[]), cast(:hashes as text[]))
        as k(creator_id, id, rule_hash)
    join automation_versions v on v.creator_id = k.creator_id and v.automation_id = k.id
        and v.rule_hash = k.rule_hash
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
    select s.creator_id, s.id, s.name, s.criteria, s.is_dynamic,
           case when s.is_dynamic then '{}' else coalesce((
               select jsonb_object_agg(n.fan_id, n.joined) from enrolments n
               where n.creator_id = s.creator_id and n.segment_id = s.id), '{}') end as enrolled
    from segments s
    where cast(:creators as text[]) is null or s.creator_id = any(:creators)
    order by s.creator_id, s.id
    """
)


def automations(
    connection: Connection,
    creators: Iterable[str] | None = None,
    faults: list[Problem] | None = None,
    *,
    hold: bool = False,
    broken: set[tuple[str, str]] | None = None,
) -> list[LiveAutomation]:
    """Return the active automations, of some creators or of all that the connection sees.

    Args:
        connection: PostgreSQL.
        creators: whose; None for all.
        faults: where to note rows that cannot be read; the others are returned all the same, so
            that one creator's broken rule stops nobody else's.
        hold: keep them as they are until the transaction ends, so that whoever pauses one knows
            that nothing is decided any more once that is done.
        broken: where to note (creator_id, id) of those that cannot be read.

    Raises:
        RuleError: a row cannot be read, and no list for faults was given.
    """
    wanted = None if creators is None else sorted(set(creators))
    found = _kept(connection, wanted, hold=hold)
    if faults is None and found.faults:
        raise RuleError(list(found.faults))
    if faults is not None:
        faults += found.faults
    if broken is not None:
        broken |= found.broken
    return list(found.rules)


@dataclass(frozen=True)
class _Read:
    """What reading the automations came to."""

    rules: tuple[LiveAutomation, ...]
    faults: tuple[Problem, ...]
    broken: frozenset[tuple[str, str]]


_KEPT: dict[tuple[Any, ...], _Read] = {}
"""By database, creators and the stamp of their rows: a tick finds what the one before has read."""
_READINGS = 64


def _kept(connection: Connection, wanted: list[str] | None, *, hold: bool) -> _Read:
    url = connection.engine.url
    lock = [(_SHARE, {"key": DECIDING})] if hold else []
    *_, (found,) = volley.ask(connection, *lock, (_STAMP, {"creators": wanted}))
    stamp = found[0]
    key = (url.host, url.port, url.database, None if wanted is None else tuple(wanted), stamp)
    found = _KEPT.get(key)
    if found is None:
        if len(_KEPT) >= _READINGS:
            _KEPT.clear()
        found = _KEPT[key] = _rules(connection, wanted)
    return found


def _rules(connection: Connection, wanted: list[str] | None) -> _Read:
    rows = connection.execute(_AUTOMATIONS, {"creators": wanted}).mappings().all()
    noted: list[Problem] = []
    known = templates(connection, {row["creator_id"] for row in rows}, noted)
    rules, broken = [], set[tuple[str, str]]()
    for row in rows:
        try:
            rules.append(_automation(dict(row), known.get(row["creator_id"], {})))
        except RuleError as error:
            noted += error.problems
            broken.add((row["creator_id"], row["id"]))
    return _Read(tuple(rules), tuple(noted), frozenset(broken))


def versions(
    connection: Connection,
    wanted: Iterable[Version],
    faults: list[Problem] | None = None,
) -> dict[Version, LiveAutomation]:
    """Return earlier versions of automations, with the templates as of then where they were kept.

    One that is not there, or that cannot be read any more, is left out (and noted in `faults`).
    """
    keys = sorted(set(wanted))
    if not keys:
        return {}
    names = {
        "creators": [k[0] for k in keys], "ids": [k[1] for k in keys],
        "hashes": [k[2] for k in keys],
    }  # fmt: skip
    rows = connection.execute(_VERSIONS, names).mappings().all()
    known = templates(connection, {row["creator_id"] for row in rows})
    rules: dict[Version, LiveAutomation] = {}
    for row in rows:
        body = {k: v for k, v in row["body"].items() if k not in ("origin", "commit", "templates")}
        kept = row["body"].get("templates") or {}
        try:
            then = {name: Template.model_validate(text_) for name, text_ in kept.items()}
            place = {**known.get(row["creator_id"], {}), **then}
            version = _read(row["creator_id"], row["id"], row["rule_hash"], body, place)
        except (RuleError, ValueError) as error:
            if faults is not None:
                where = f"automation {row['creator_id']}/{row['id']} {row['rule_hash']}"
                problems = (
                    error.problems if isinstance(error, RuleError) else [Problem("", str(error))]
                )
                faults.append(Problem(where, "; ".join(problem.what for problem in problems)))
        else:
            rules[row["creator_id"], row["id"], row["rule_hash"]] = version
    return rules


def _automation(row: dict[str, Any], known: dict[str, Template]) -> LiveAutomation:
    if torn := [n for n in ("trigger", "settings") if not isinstance(row[n], dict)]:
        where = f"automation {row['creator_id']}/{row['id']}"
        raise RuleError([Problem(where, f"its {' and '.join(torn)} must be an object")])
    data = {
        "name": row["name"], "active": row["is_active"], "actions": row["actions"],
        "steps": row["steps"], "trigger": {k: v for k, v in row["trigger"].items() if k != "entry"},
        "conditions": row["conditions"], "entry": row["trigger"].get("entry") or {},
        **row["settings"],
    }  # fmt: skip
    name = (row["creator_id"], row["id"], row["rule_hash"])
    return _read(*name, seed.automation(data), known, paused=row["paused"])


def _read(
    creator_id: str,
    name: str,
    rule_hash: str,
    data: dict[str, Any],
    known: dict[str, Template],
    *,
    paused: bool = False,
) -> LiveAutomation:
    text_ = json.dumps(data, sort_keys=True, default=str)
    try:
        used = _understood(text_)[1]
    except ValueError as error:
        raise RuleError([Problem(f"automation {creator_id}/{name}", str(error))]) from None
    content = {template: known[template] for template in used if template in known}
    # A tick reads the same rules as the one before: what was made of them then is used again.
    key = (creator_id, name, rule_hash, text_, paused, *((n, id(t)) for n, t in content.items()))
    found = _MADE.get(key)
    if found is None:
        if len(_MADE) >= _MANY:
            _MADE.clear()
        rule = _understood(text_)[0]
        found = _MADE[key] = LiveAutomation(creator_id, name, rule, rule_hash, content, paused)
    return found


_MANY = 20_000
_MADE: dict[tuple[Any, ...], LiveAutomation] = {}
"""Each holds its templates, so that their identities in the key stay taken."""


@lru_cache(maxsize=_MANY)
def _understood(text_: str) -> tuple[Automation, tuple[str, ...]]:
    """Read a rule's text once in a process; return it with the templates that it names."""
    rule = Automation.model_validate(json.loads(text_))
    for where in conditions(rule):
        parse(where)
    named = {op.step.send.template for op in flow.program(rule) if op.step.send}
    return rule, tuple(sorted(name for name in named if name))


def asked(automations: Iterable[LiveAutomation]) -> list[Condition]:
    """Return every condition of some automations, read."""
    return [condition for one in automations for condition in one.asked]


def conditions(rule: Automation) -> list[Any]:
    """Return every condition of an automation, as it is written."""
    found = [rule.conditions, rule.exit.conditions if rule.exit else None]
    for op in flow.program(rule):
        step = op.step
        found += [step.conditions, step.if_, None if step.exit is True else step.exit]
        found.append(step.wait.conditions if step.wait else None)
    return [where for where in found if where is not None]


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
    data = {
        "name": row["name"], "category": row["category"], "content": content,
        "platforms": row["platforms"], "settings": row["default_settings"],
        "variables": row["variables"],
    }  # fmt: skip
    try:
        return _written(json.dumps(data, sort_keys=True, default=str))
    except ValueError as error:
        raise RuleError([Problem(f"template {row['id']}", str(error))]) from None


@lru_cache(maxsize=4096)
def _written(text_: str) -> Template:
    """Read a template's text once in a process."""
    return Template.model_validate(json.loads(text_))


def segments(
    connection: Connection, creators: Iterable[str] | None = None, *, strict: bool = True
) -> list[LiveSegment]:
    """Return the segments, of some creators or of all that the connection sees.

    Args:
        connection: PostgreSQL.
        creators: whose; None for all.
        strict: False: one that cannot be read is there all the same, as a segment whose condition
            cannot be read, so that others that name it are not evaluated without it.

    Raises:
        RuleError: a row cannot be read.
    """
    wanted = None if creators is None else sorted(set(creators))
    rows = connection.execute(_SEGMENTS, {"creators": wanted}).mappings()
    return [_segment(dict(row), strict) for row in rows]


def _segment(row: dict[str, Any], strict: bool) -> LiveSegment:
    criteria = dict(row["criteria"])
    known = {key: criteria[key] for key in ("where", "fans") if key in criteria}
    data = known or ({"where": criteria} if criteria else {"fans": []})
    if "fans" in data and row["enrolled"]:
        # What rules did to a list wins over the file.
        came = {fan for fan, joined in row["enrolled"].items() if joined}
        stayed = [fan for fan in data["fans"] if row["enrolled"].get(fan, True)]
        data = {"fans": [*stayed, *sorted(came - set(stayed))]}
    try:
        rule = Segment.model_validate({"name": row["name"], **data})
    except ValueError as error:
        if strict:
            raise RuleError([Problem(f"segment {row['id']}", str(error))]) from None
        rule = Segment.model_construct(name=row["name"], where={"unreadable": criteria})
    return LiveSegment(row["creator_id"], row["id"], rule)
