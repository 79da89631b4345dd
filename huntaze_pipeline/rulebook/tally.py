"""The facts of each fan kept by key in PostgreSQL, up to where the automations have read the inbox.

A batch reads one row a fan, whatever the lake holds. Belongs here: reading the rows, and adding the
events of the inbox to them in the transaction that moves the reader (law 6). What comes by other
ways (files, a quarantine, a new declaration) is counted anew from lake and inbox by `recount`.

Facts are the same as those counted from all events. Where one event may have come by two ways, the
fan is called odd and is not to be taken from here.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.events.inbox import Position
from huntaze_pipeline.rulebook import facts
from huntaze_pipeline.rulebook.facts import FACTS, Fact
from huntaze_pipeline.store import arrays, checkpoints, volley
from huntaze_pipeline.store.volley import Question

READER = "automations"
"""Whose place in the inbox the rows are kept up to."""
NAME = "facts"
"""The checkpoint that says which lake the rows have been counted from."""
Key = tuple[str, str]
"""(creator_id, fan_id)"""
_KINDS: dict[str, Any] = {
    "sum": pl.Int64, "count": pl.Int64, "min": pl.Datetime("us", "UTC"),
    "max": pl.Datetime("us", "UTC"), "distinct": pl.List(pl.String),
}  # fmt: skip
STATE: dict[str, Any] = {
    "creator_id": pl.String, "fan_id": pl.String, **{f.name: _KINDS[f.kind] for f in FACTS},
}  # fmt: skip
"""A state row of `facts`, as a frame."""
_ROW = {
    name: pl.String if kind in (pl.String, _KINDS["distinct"]) else pl.Int64
    for name, kind in STATE.items()
}
"""The same as it is read."""
FINGERPRINT = "('x' || substr(md5(e.event_id), 1, 15))::bit(60)::bigint"
"""Of an event `e`, in PostgreSQL; `recount` says the same in DuckDB."""


def _aggregate(fact: Fact) -> str:
    tail = f"filter (where e.{fact.where})"
    if fact.kind == "count":
        return f"count(*) {tail}"
    if fact.kind == "sum":
        return f"coalesce(sum(e.{fact.value}) {tail}, 0)::bigint"
    if fact.kind == "distinct":
        some = f"filter (where e.{fact.where} and {fact.value} is not null)"
        return f"coalesce(array_agg(distinct {fact.value}) {some}, '{{}}')"
    return f"{fact.kind}(e.{fact.value}) {tail}"


def _merged(fact: Fact, old: str, new: str) -> str:
    """Return the fact of two states; `new` may be a row that is not there."""
    a, b = f"{old}.{fact.name}", f"{new}.{fact.name}"
    if fact.kind in ("sum", "count"):
        return f"coalesce({a}, 0) + coalesce({b}, 0)"
    if fact.kind == "distinct":
        both = f'array(select distinct m collate "C" from unnest({a} || {b}) m order by 1)'
        # A long list that stays as it is need not be written again.
        return f"case when coalesce({b}, '{{}}') <@ {a} then {a} else {both} end"
    return f"{'least' if fact.kind == 'min' else 'greatest'}({a}, {b})"


def _told(fact: Fact, value: str) -> str:
    """Return a fact in the form that a frame takes up fastest."""
    if fact.kind in ("min", "max"):
        return f"(extract(epoch from {value}) * 1000000)::bigint"
    return f"array_to_json({value})::text" if fact.kind == "distinct" else value


def _list(render: Callable[[Fact], str]) -> str:
    return ", ".join(f"{render(fact)} as {fact.name}" for fact in FACTS)


_NAMES = ", ".join(fact.name for fact in FACTS)
_COUNTING = sorted({name for fact in FACTS for name in fact.events})
IMPORTED = (
    f"(select {FINGERPRINT} = any(t.imported) from tallies t"
    " where t.creator_id = e.creator_id and t.fan_id = e.fan_id)"
)
"""Says of an event `e` that a file had brought it; by key, for a join may read every row."""
_BY_KEY = (
    "left join lateral (select * from tallies t where t.creator_id = k.creator_id"
    " and t.fan_id = k.fan_id limit 1) t on true"
)
HELD = "exists (select from quarantine q where q.import_id = 'inbox' and q.row = e.id)"
_ADD = text(
    f"""
    insert into tallies (creator_id, fan_id, {_NAMES})
    select e.creator_id, e.fan_id, {_list(_aggregate)}
    from inbox e
    where (e.tx, e.id) > (cast(cast(:tx as text) as xid8), :id)
      and (e.tx, e.id) <= (cast(cast(:to_tx as text) as xid8), :to_id)
      and e.name = any(:names)
      and not coalesce({IMPORTED}, false) and not {HELD}
      and exists (select from checkpoints where name = '{NAME}' and position <> '{{}}')
    group by e.creator_id, e.fan_id
    on conflict (creator_id, fan_id) do update
    set {", ".join(f"{f.name} = {_merged(f, 'tallies', 'excluded')}" for f in FACTS)}
    """
)
_AHEAD = f"""
    with place as (
        select coalesce(position ->> 'tx', '0')::xid8 as tx,
               coalesce((position ->> 'id')::bigint, 0) as id
        from checkpoints where name = '{READER}'
    ), k as (
        select * from unnest(cast(:creators as text[]), cast(:fans as text[]))
            as k(creator_id, fan_id)
    ), ahead as (
        select e.*, coalesce({IMPORTED}, false) or {HELD} as odd
        from {{source}}
    )
"""
_READ = text(
    _AHEAD.format(
        source="(select i.* from place p, k join inbox i on i.creator_id = k.creator_id"
        " and i.fan_id = k.fan_id where (i.tx, i.id) > (p.tx, p.id)) e"
    )
    + f"""
    , n as (
        select e.creator_id, e.fan_id, bool_or(e.odd) as odd, {_list(_aggregate)}
        from ahead e group by e.creator_id, e.fan_id
    )
    select k.creator_id, k.fan_id, {_list(lambda f: _told(f, _merged(f, "t", "n")))}, n.odd
    from k {_BY_KEY}
           left join n on n.creator_id = k.creator_id and n.fan_id = k.fan_id
    """
)
_READ_BATCH = text(
    _AHEAD.format(
        source="(select i.* from place p, inbox i where (i.tx, i.id) > (p.tx, p.id)"
        " and (i.tx, i.id) <= (cast(cast(:tx as text) as xid8), :id)) e"
    )
    + f"""
    , n as (select distinct creator_id, fan_id from ahead where odd)
    select k.creator_id, k.fan_id, {_list(lambda f: _told(f, f"t.{f.name}"))},
           n.fan_id is not null as odd
    from k {_BY_KEY}
           left join n on n.creator_id = k.creator_id and n.fan_id = k.fan_id
    """
)


@dataclass(frozen=True)
class Kept:
    """The facts of some fans."""

    states: pl.DataFrame
    """`STATE`; no row: nothing happened yet, or the fan is odd."""
    odd: frozenset[Key]
    """Fans whose facts have to be counted."""


def current(connection: Connection, snapshot: int) -> bool:
    """Say whether the rows hold today's facts, counted from this snapshot of the lake."""
    return _current(checkpoints.read(connection, NAME), snapshot)


def _current(held: dict[str, Any], snapshot: int) -> bool:
    same = held.get("version", "").partition("/")[0] == facts.VERSION
    return same and held["ready"] and held.get("snapshot") == snapshot


def read(
    connection: Connection, snapshot: int, keys: Collection[Key], upto: Position | None = None
) -> Kept | None:
    """Return the facts of some fans; None when they are not `current`.

    Args:
        connection: PostgreSQL, as the machinery.
        snapshot: where the lake stands.
        keys: the fans.
        upto: the end of the batch that is read just now: facts are those before it. None: facts
            as of now, with what the reader has not come to yet.
    """
    values: dict[str, Any] = arrays.pairs(set(keys))
    question = (_READ, values)
    if upto is not None:
        question = (_READ_BATCH, {**values, "tx": str(upto.tx), "id": upto.id})
    held, rows = volley.ask(connection, checkpoints.reading(NAME), question)
    if not held or not _current(held[0].position, snapshot):
        return None
    odd = frozenset((row[0], row[1]) for row in rows if row[-1])
    return Kept(_frame([row for row in rows if not row[-1]]), odd)


def _frame(rows: Sequence[Any]) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(STATE)
    told = pl.DataFrame(
        [pl.Series(n, c, dtype=k) for (n, k), c in zip(_ROW.items(), columns, strict=False)]
    )
    lists = [name for name, kind in STATE.items() if kind == _KINDS["distinct"]]
    return told.with_columns(pl.col(lists).str.json_decode(_KINDS["distinct"])).cast(
        pl.Schema(STATE)
    )


def adding(after: Position, upto: Position) -> Question:
    """Return what adds the events of the inbox behind one place, up to another, if any are kept."""
    values = {"tx": str(after.tx), "id": after.id, "to_tx": str(upto.tx), "to_id": upto.id}
    return _ADD, {**values, "names": _COUNTING}
