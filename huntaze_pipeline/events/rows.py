"""Every source row of one file, typed, and what is wrong with it: `_rows` and `_held`.

A row is bad when a value cannot be read, or when it names a fan, campaign or account that is not
the creator's. What is made of the good ones is `staging`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from duckdb import DuckDBPyConnection

from huntaze_pipeline.errors import ImportFileError, Problem
from huntaze_pipeline.events import shape
from huntaze_pipeline.events.field import Field
from huntaze_pipeline.events.mapping import Mapping
from huntaze_pipeline.events.parts import EventSpec, Value
from huntaze_pipeline.events.projection import Scope
from huntaze_pipeline.events.source import Table
from huntaze_pipeline.quality.suite import Suite
from huntaze_pipeline.sql import identifier, quoted

_REFERENCES = {"fan": "fan_id", "campaign": "campaign_id"}
"""What a row may refer to, and by which field."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read, through what, for whom, and when."""

    table: Table
    mapping: Mapping
    creator_id: str
    now: datetime
    shift_days: int
    name: str
    """The file, for messages."""
    suite: Suite
    """What must hold for what is made of it."""


def fields(mapping: Mapping) -> list[Field]:
    """Return everything that a mapping reads out of a row."""
    if not mapping.events:
        return shape.record_fields(mapping)
    listed = [f for n, spec in enumerate(mapping.events) for f in shape.event_fields(spec, n)]
    return listed + shape.line_fields(mapping)


def look_up(con: DuckDBPyConnection, reading: Reading) -> None:
    """Bring the creator's campaigns and fans, which rows may refer to."""
    mine = f"where creator_id = {quoted(reading.creator_id)}"
    con.execute(
        "create or replace temp table _campaign as"
        f" select id, start_at, end_at from ops.public.campaigns {mine}"
    )
    con.execute(
        f"create or replace temp table _fan as select id, zone from ops.public.fans {mine}"
        if _uses(reading.mapping, "fan")
        else "create or replace temp table _fan (id varchar, zone varchar)"
    )


def _accounts(con: DuckDBPyConnection, reading: Reading, scope: Scope) -> None:
    """Bring the accounts an address may name: the creator's, and those that the file makes."""
    if _unmade(reading.mapping) is None:
        return
    part = reading.mapping.fans
    own = (
        f" union select distinct {scope.expression(part.account.id).text}"
        f" from {reading.table.sql} _s"
        if part is not None and part.account is not None
        else ""
    )
    con.execute(
        "create or replace temp table _account as select id from (select id from"
        f" ops.public.accounts where creator_id = {quoted(reading.creator_id)}{own})"
        " where id is not null"
    )


def _unmade(mapping: Mapping) -> Value | None:
    """Return the value that names an address's account, unless the mapping makes that account."""
    part = mapping.fans
    if mapping.kind != "fans" or part is None or part.identity is None:
        return None
    made = part.account is not None and part.account.id == part.identity.account_id
    return None if made else part.identity.account_id


def _uses(mapping: Mapping, what: str) -> bool:
    return what in mapping.check or what in mapping.lookups


def fill(con: DuckDBPyConnection, reading: Reading, fields: list[Field]) -> None:
    """Make `_rows`, and put down in `_held` those that are bad, and why."""
    mapping = reading.mapping
    scope = Scope(reading.table, mapping, reading.shift_days)
    early = [f for f in fields if not f.late(mapping)]
    typed = [f"{f.sql(scope)} as {f.alias}" for f in early]
    groups = [f"{scope.column(c).text} as _g{n}" for n, c in enumerate(mapping.group_by)]
    keys = [f"{_key(scope, spec, mapping)} as _k{n}" for n, spec in enumerate(mapping.events)]
    _complain(scope, fields, reading)
    _accounts(con, reading, scope)
    joined = _joins(scope, mapping)
    joins = "".join(joined.values())
    parts = ", ".join(["_s.*", *_carried(joined), *groups, *keys, *typed])
    given = ", ".join(identifier(name) for name in reading.table.columns) or "_line"
    bad = _suspicion(scope, early, reading)
    # Two levels: a typed value is computed once and then looked at by all of its checks.
    con.execute(
        f"create or replace temp table _rows as select * exclude ({given}, _fan, _campaign),"
        f" {bad} as _bad from (select {parts} from {reading.table.sql} _s {joins}) _s"
    )
    con.execute(
        "create or replace temp table _held (_row bigint, field varchar, reason varchar);"
        " create or replace temp table _suspect as select _row from _rows where _bad"
    )
    if con.execute("select 1 from _suspect limit 1").fetchone():
        inner = (
            f"select {parts} from (select * from {reading.table.sql}"
            f" semi join _suspect using (_row)) _s {joins}"
        )
        _explain(con, f"({inner}) _s", _faults(scope, early, reading))


def _suspicion(scope: Scope, early: list[Field], reading: Reading) -> str:
    """Return a cheap SQL condition that holds for every faulty row, and for some good ones."""
    suspect = [c for f in early for c in f.suspect(scope, reading.now)]
    suspect += [condition for _, condition, _ in _references(scope, reading.mapping)]
    return " or ".join(f"coalesce({condition}, false)" for condition in suspect) or "false"


def _explain(con: DuckDBPyConnection, relation: str, faults: list[tuple[str, str, str]]) -> None:
    """Fill `_held` with those of the suspect rows that are bad, and why."""
    reasons = ", ".join(
        f"case when {c} then {{'field': {quoted(f)}, 'reason': {r}}} end" for f, c, r in faults
    )
    con.execute(
        "insert into _held select _row,"
        " array_to_string(list_distinct(list_transform(_faults, x -> x.field)), ', '),"
        " array_to_string(list_transform(_faults, x -> x.field || ' ' || x.reason), '; ')"
        f" from (select _row, list_filter([{reasons}], x -> x is not null) as _faults"
        f" from {relation}) where len(_faults) > 0"
    )


def _carried(joined: Collection[str]) -> list[str]:
    """What a row refers to, as structs, so that reasons can show it."""
    return [f"_{what}" if what in joined else f"null as _{what}" for what in _REFERENCES]


def _key(scope: Scope, spec: EventSpec, mapping: Mapping) -> str:
    """The text that names the event: its key columns, or the hash of the whole row."""
    columns = spec.key or mapping.key or mapping.group_by
    if columns:
        return " || ':' || ".join(scope.column(c).text for c in columns)
    if scope.table.json:
        return "md5(_s._line)"
    texts = ", ".join(
        f"coalesce(cast(_s.{identifier(c)} as varchar), chr(30))"
        for c in sorted(scope.table.columns)
    )
    return f"md5(concat_ws(chr(31), {texts}))"


def _faults(scope: Scope, early: list[Field], reading: Reading) -> list[tuple[str, str, str]]:
    mapping = reading.mapping
    checks = [(f.name, c, r) for f in early for c, r in f.faults(scope, reading.now)]
    return checks + _references(scope, mapping)


def _references(scope: Scope, mapping: Mapping) -> list[tuple[str, str, str]]:
    """Return what can be wrong with what names the row's group, event, fan or campaign."""
    checks = [
        (column, f"_g{n} is null", quoted("is missing; it names the group"))
        for n, column in enumerate(mapping.group_by)
    ]
    keyed = bool(mapping.key) or any(spec.key for spec in mapping.events)
    checks += [
        ("key", f"_k{n} is null", quoted("is missing; it names the event"))
        for n in range(len(mapping.events))
        if keyed
    ]
    for what, column in _REFERENCES.items():
        value = _reference(mapping, column)
        if what in mapping.check and value is not None:
            raw = scope.expression(value).text
            reason = f"'''' || coalesce({raw}, '') || ''' is no {what} of this creator'"
            checks.append((column, f"_{what}.id is null", reason))
    account = _unmade(mapping)
    if account is not None:
        raw = scope.expression(account).text
        condition = f"{raw} not in (select id from _account)"
        checks.append(("identity.account_id", condition, _no_account(raw)))
    return checks


def _no_account(raw: str) -> str:
    """SQL for the reason, with the account whose id is most like it."""
    near = f"(select arg_max(id, jaro_winkler_similarity(id, {raw})) from _account)"
    hint = f"coalesce('; the nearest is ' || {near}, '; add one to the creator first')"
    return f"'''' || {raw} || ''' is no account of this creator' || {hint}"


def _joins(scope: Scope, mapping: Mapping) -> dict[str, str]:
    """Return the join of each thing that rows refer to, where something is asked of it."""
    joins = {}
    for what, column in _REFERENCES.items():
        value = _reference(mapping, column)
        if value is not None and _uses(mapping, what):
            joins[what] = f" left join _{what} on _{what}.id = {scope.expression(value).text}"
    return joins


def _reference(mapping: Mapping, column: str) -> Value | None:
    """Return the value that names the row's fan or campaign."""
    for part in (*mapping.events, mapping.costs):
        value = getattr(part, column, None)
        if value is not None:
            return value
    return None


def _complain(scope: Scope, fields: list[Field], reading: Reading) -> None:
    """Report every column that the mapping names and the file lacks."""
    grouped = Scope(reading.table, reading.mapping, reading.shift_days, grouped=True)
    for given in fields:
        if given.late(reading.mapping):
            given.sql(grouped)
    missing = [*scope.missing, *grouped.missing]
    if missing:
        has = ", ".join(reading.table.columns) or "none"
        raise ImportFileError(
            [Problem(reading.name, f"has no column {name}; it has {has}") for name in missing]
        )


def hold(con: DuckDBPyConnection, mapping: Mapping) -> None:
    """Hold back the good rows of a group that has a bad one: a part of a basket is no basket."""
    if mapping.group_by and con.execute("select 1 from _held limit 1").fetchone():
        same = " and ".join(f"r._g{n} = b._g{n}" for n in range(len(mapping.group_by)))
        con.execute(
            "insert into _held select distinct on (r._row) r._row, '', 'held back: row ' || b._row"
            " || ' of the same group is bad' from _rows r"
            f" join (select * from _rows semi join _held using (_row)) b on {same}"
            " anti join _held h on h._row = r._row order by r._row, b._row"
        )
