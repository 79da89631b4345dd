"""Where every fan stands, in the lake: the answers of the last refresh, and when to ask again.

`standing` has one row a fan: its bits (`evaluation`) and the next instant at which time alone moves
them. With how far each creator has come (`progress`) and which bit is which segment (`names`) a
refresh asks only fans of whom something changed. All of it can be lost: it is a memory of what
PostgreSQL holds in `members`, and `marker` says whether it still is one.

Belongs here: the tables, whom to ask, and what differs. Writing members is `stays`'.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import duckdb
import polars as pl
from duckdb import DuckDBPyConnection

from huntaze_pipeline.audience import evaluation
from huntaze_pipeline.audience.evaluation import Group
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.warehouse import changes, journal, lake
from huntaze_pipeline.warehouse.changes import Span

FACTS, PROFILES, EVENTS = "marts.fan_facts", "raw.fans", "raw.events"
_ROWS = """
    creator_id VARCHAR, fan_id VARCHAR, inside UTINYINT[], next_at TIMESTAMP WITH TIME ZONE
"""
_TABLES = {
    "standing": _ROWS,
    "names": "creator_id VARCHAR, segment_id VARCHAR, place INTEGER, definition VARCHAR",
    "progress": (
        "creator_id VARCHAR, hash VARCHAR, snapshot BIGINT, horizon BIGINT,"
        " as_of TIMESTAMP WITH TIME ZONE"
    ),
    "marker": "number BIGINT",
}
_ME = "audience.standing"
_MANY = 0.3
"""Above this share of a creator's rows, all of its rows are written anew: one pass, no holes."""


@dataclass(frozen=True)
class Progress:
    """How far one creator's standing has come."""

    hash: str
    snapshot: int
    horizon: int
    as_of: datetime


@dataclass(frozen=True)
class Plan:
    """Whom to ask."""

    groups: Sequence[Group]
    whole: frozenset[str]
    """Creators all of whose fans are asked."""
    trusted: bool
    """Whether the standing is what PostgreSQL holds."""
    changed: Mapping[str, Span | None]
    """Tables whose rows changed: the first and the last snapshot that did it."""
    upto: int
    """The snapshot that is asked."""
    horizon: int
    """The transaction of PostgreSQL up to which static lists are known now."""
    listed: int
    """The one up to which they were known before."""
    anew: frozenset[str]
    """Creators whose segments are other ones than before."""


def prepare(con: DuckDBPyConnection) -> None:
    """Make the tables where they are missing."""
    try:
        # The last of the tables; DuckDB's own listing plans every view of the lake.
        con.execute("select 1 from lake.audience.marker limit 0")
    except duckdb.CatalogException:
        lake.write(con, lambda: _make(con))


def _make(con: DuckDBPyConnection) -> None:
    con.execute("create schema if not exists lake.audience")
    for name, columns in _TABLES.items():
        con.execute(f"create table if not exists lake.audience.{name} ({columns})")


@contextmanager
def reading(con: DuckDBPyConnection) -> Iterator[None]:
    """See one snapshot of the lake from beginning to end."""
    con.execute("begin transaction")
    try:
        yield
    except duckdb.CatalogException as error:
        con.execute("rollback")
        raise lake.absent(error) from None
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")


def number_of(con: DuckDBPyConnection) -> int:
    """Return the number of the last refresh whose changes the standing holds."""
    row = con.execute("select max(number) from lake.audience.marker").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def reached(con: DuckDBPyConnection) -> dict[str, Progress]:
    """Return how far each creator has come."""
    rows = con.execute("select * from lake.audience.progress").fetchall()
    return {row[0]: Progress(*row[1:]) for row in rows}


def plan(
    con: DuckDBPyConnection,
    groups: Sequence[Group],
    now: datetime,
    *,
    trusted: bool,
    whole: bool,
    horizon: int,
) -> Plan:
    """Decide whom to ask.

    A creator is asked whole when its segments changed, when the clock went back, and when the facts
    were made anew, so that nobody can tell what changed.
    """
    known = reached(con) if trusted else {}
    anew, all_ = set(), set()
    for group in groups:
        for creator in group.creators:
            mine = known.get(creator)
            if mine is None or mine.hash != group.hash:
                anew.add(creator)
            elif not whole and now >= mine.as_of:
                continue
            all_.add(creator)
    kept = [known[c] for g in groups for c in g.creators if c not in all_]
    since = min((mine.snapshot for mine in kept), default=0)
    news = changes.survey(con, since).news(_ME, _read(groups), since)
    if news.anew:
        all_ |= {c for g in groups for c in g.creators}
    listed = min((mine.horizon for mine in kept), default=0)
    return Plan(
        groups, frozenset(all_), trusted, news.changed, news.upto, horizon, listed, frozenset(anew)
    )


def _read(groups: Sequence[Group]) -> list[str]:
    """Return the tables that the groups' questions read."""
    profiles = [PROFILES] if _profiles(groups) else []
    return [FACTS, *profiles, *([EVENTS] if any(group.features for group in groups) else [])]


def _profiles(groups: Iterable[Group]) -> bool:
    return any(not group.fields.isdisjoint(evaluation.PROFILE) for group in groups)


def candidates(con: DuckDBPyConnection, plan: Plan, now: datetime) -> None:
    """Gather in `_asked` the fans of whom something changed: facts, lists, or their time has come.

    A change of facts that no segment reads is no change.
    """
    con.execute("create or replace temp table _asked (creator_id varchar, fan_id varchar)")
    if all(c in plan.whole for g in plan.groups for c in g.creators):
        return
    parts = [
        "select creator_id, fan_id from lake.audience.standing"
        f" where next_at <= timestamptz '{now.isoformat()}'",
        "select creator_id, fan_id from _relisted",
        *_changed(con, plan),
    ]
    con.execute(f"insert into _asked {' union '.join(parts)}")


def _changed(con: DuckDBPyConnection, plan: Plan) -> list[str]:
    """Return queries of the fans whose facts or profiles differ in what is read, or who did it."""
    read = frozenset().union(*(group.fields for group in plan.groups))
    feeds = journal.Journal(con)
    parts = []
    span = plan.changed.get(EVENTS)
    if span is not None:
        parts.append(_did(plan, span))
    for table, key in ((FACTS, "fan_id"), (PROFILES, "id")):
        if table not in plan.changed:
            continue
        feed = feeds.feed(table, plan.changed[table])
        there = {row[0] for row in con.execute(f"describe {feed.came}").fetchall()}
        wanted = ", ".join(f'"{name}"' for name in sorted(there & read - {"creator_id", key}))
        columns = f"creator_id, {key} as fan_id{', ' if wanted else ''}{wanted}"
        for more, less in ((feed.came, feed.left), (feed.left, feed.came)):
            if more is not None:
                but = f" except select {columns} from {less}" if less is not None else ""
                parts.append(f"select creator_id, fan_id from (select {columns} from {more}{but})")
    return parts


def _did(plan: Plan, span: Span) -> str:
    """Return the query of the fans with new events that some feature counts."""
    first, last = span
    names = {feature.event for group in plan.groups for feature in group.features}
    return (
        "select distinct creator_id, fan_id from"
        f" ducklake_table_changes('lake', 'raw', 'events', {first}, {last})"
        f" where fan_id is not null and {_among('name', names)}"
    )


def ask(con: DuckDBPyConnection, plan: Plan, now: datetime) -> None:
    """Ask the chosen fans; what differs from before comes to stand in `_diff`.

    `_fresh` holds the answers. `_diff` has a row for every fan whose bits or next instant differ,
    with both bits (null: was not there, is not there).
    """
    con.execute(f"create or replace temp table _fresh ({_ROWS})")
    mine = {c for g in plan.groups for c in g.creators}
    if mine - plan.whole:
        _narrow(con, plan)
    for group in plan.groups:
        all_ = [c for c in group.creators if c in plan.whole]
        some = [c for c in group.creators if c not in plan.whole]
        for creators, facts in ((all_, evaluation.FACTS), (some, "_facts")):
            if creators:
                where = _among("fan.creator_id", creators)
                con.execute(f"insert into _fresh {evaluation.question(group, now, where, facts)}")
    con.execute(
        f"""
        create or replace temp table _diff as
        select coalesce(f.creator_id, o.creator_id) as creator_id,
               coalesce(f.fan_id, o.fan_id) as fan_id,
               f.inside as inside, o.inside as before, f.next_at,
               f.fan_id is null as gone,
               {_among("coalesce(f.creator_id, o.creator_id)", plan.anew)} as anew
        from _fresh f full join ({_before(plan)}) o
            on f.creator_id = o.creator_id and f.fan_id = o.fan_id
        where f.fan_id is null or o.fan_id is null or f.inside <> o.inside
           or f.next_at is distinct from o.next_at or anew
        """
    )


def _narrow(con: DuckDBPyConnection, plan: Plan) -> None:
    """Gather in `_facts` what is read of the fans in `_asked`.

    A table of its own, for conditions over what a join lets through row by row take twice as long.
    """
    fields = {"creator_id", "fan_id"}.union(*(group.fields for group in plan.groups))
    names = ", ".join(map(quoted, sorted(fields)))
    con.execute(
        f"create or replace temp table _facts as select columns(c -> c in ({names}))"
        f" from {evaluation.FACTS} semi join _asked using (creator_id, fan_id)"
    )


def _among(column: str, names: Iterable[str]) -> str:
    listed = ", ".join(map(quoted, sorted(names)))
    return f"{column} in ({listed})" if listed else "false"


def _before(plan: Plan) -> str:
    """Return the standing of those who were asked."""
    mine = [c for g in plan.groups for c in g.creators]
    whole, rest = sorted(plan.whole), [c for c in mine if c not in plan.whole]
    parts = []
    if whole:
        parts.append(f"select * from lake.audience.standing where {_among('creator_id', whole)}")
    if rest:
        parts.append(
            "select s.* from lake.audience.standing s semi join _asked a"
            " on a.creator_id = s.creator_id and a.fan_id = s.fan_id"
            f" where {_among('s.creator_id', rest)}"
        )
    return " union all ".join(parts) if parts else "select * from lake.audience.standing limit 0"


def named(
    con: DuckDBPyConnection, plan: Plan, frozen: Collection[tuple[str, str]] = ()
) -> None:  # fmt: skip
    """Name the segments' bits: `_wanted` now, `_recorded` as of before.

    What is frozen, as (creator_id, segment_id), is not recorded: whoever is in it stays there.
    """
    rows = [
        (creator, *name) for group in plan.groups for creator in group.creators
        for name in group.names
    ]  # fmt: skip
    schema = {"creator_id": pl.String, "segment_id": pl.String, "place": pl.Int32,
              "definition": pl.String}  # fmt: skip
    con.register("_names", pl.DataFrame(rows, schema=schema, orient="row").to_arrow())
    con.execute("create or replace temp table _wanted as from _names")
    con.unregister("_names")
    mine = [c for g in plan.groups for c in g.creators] if plan.trusted else []
    con.execute(
        "create or replace temp table _recorded as from lake.audience.names"
        f" where {_among('creator_id', mine)}"
    )
    for creator, segment in frozen:
        con.execute(
            "delete from _recorded where creator_id = ? and segment_id = ?", [creator, segment]
        )


def settle(con: DuckDBPyConnection, plan: Plan, now: datetime, number: int, before: int) -> bool:
    """Remember the answers, once PostgreSQL holds what they changed.

    Return False, with nothing written, when another refresh was here in between: the next one then
    finds a marker that does not match, and asks everybody.
    """

    def work() -> bool:
        if number_of(con) != before:
            return False
        _remember(con, plan)
        _note(con, plan, now)
        if number != before or before == 0:
            con.execute("delete from lake.audience.marker")
            con.execute(f"insert into lake.audience.marker values ({number})")
        return True

    return lake.write(con, work)


def _remember(con: DuckDBPyConnection, plan: Plan) -> None:
    changed, asked = (
        (con.execute(f"select count(*) from {name}").fetchone() or (0,))[0]
        for name in ("_diff", "_fresh")
    )
    columns = "creator_id, fan_id, inside, next_at"
    target = "lake.audience.standing"
    if plan.whole and changed > _MANY * asked:
        con.execute(f"delete from {target} where {_among('creator_id', sorted(plan.whole))}")
        mine = f"where {_among('creator_id', sorted(plan.whole))}"
        con.execute(f"insert into {target} select {columns} from _fresh {mine}")
        con.execute(f"delete from _diff {mine}")
    if not changed:
        return
    con.execute(
        f"delete from {target} t using _diff d"
        " where t.creator_id = d.creator_id and t.fan_id = d.fan_id"
    )
    con.execute(f"insert into {target} select {columns} from _diff where not gone")


def _note(con: DuckDBPyConnection, plan: Plan, now: datetime) -> None:
    """Write down how far each creator has come, and which bit is whose where that is new."""
    mine = [c for g in plan.groups for c in g.creators]
    if not mine:
        return
    con.execute(f"delete from lake.audience.progress where {_among('creator_id', mine)}")
    rows = [(c, g.hash) for g in plan.groups for c in g.creators]
    frame = pl.DataFrame(rows, schema={"creator_id": pl.String, "hash": pl.String}, orient="row")
    con.register("_reached", frame.to_arrow())
    con.execute(
        f"insert into lake.audience.progress select creator_id, hash, {plan.upto}, {plan.horizon},"
        f" timestamptz '{now.isoformat()}' from _reached"
    )
    con.unregister("_reached")
    if plan.anew:
        theirs = _among("creator_id", plan.anew)
        con.execute(f"delete from lake.audience.names where {theirs}")
        con.execute(f"insert into lake.audience.names from _wanted where {theirs}")
