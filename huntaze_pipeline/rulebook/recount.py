"""Facts counted anew from lake and inbox, where they did not come through the inbox one by one.

That is: files that were imported, rows that a quarantine held back or let go, and everybody when
facts are declared otherwise or nothing is kept yet. It goes on in steps of some thousand fans, each
in a transaction that holds the reader of the automations: nothing is counted twice or left out.
"""

from collections.abc import Collection
from typing import Any

import duckdb
import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.events.inbox import Position
from huntaze_pipeline.rulebook import facts, people, tally
from huntaze_pipeline.rulebook.tally import NAME, Key
from huntaze_pipeline.sql import quoted
from huntaze_pipeline.store import arrays, checkpoints
from huntaze_pipeline.warehouse import lake as lakes

FANS = 50_000
"""Of one step."""
_CHUNK = 5_000
_FINGERPRINT = "cast('0x' || substr(md5(event_id), 1, 15) as bigint)"
"""The same number as `tally.FINGERPRINT`."""
_PLAIN = {
    "creator_id": pl.String, "event_id": pl.String, "fan_id": pl.String, "name": pl.String,
    "campaign_id": pl.String, "message_id": pl.String, "value_micros": pl.Int64,
    "occurred_at": pl.Datetime("us", "UTC"), "later": pl.Boolean, "pulled": pl.Boolean,
}  # fmt: skip
_EVENT = ", ".join(name for name in _PLAIN if name not in ("later", "pulled"))
_LIVE = text(
    f"""
    select {", ".join(f"e.{name}" for name in _EVENT.split(", "))},
           (e.tx, e.id) > (cast(cast(:tx as text) as xid8), :id) and not {tally.HELD} as later,
           (e.tx, e.id) <= (cast(cast(:lake_tx as text) as xid8), :lake_id) as pulled
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join inbox e on e.creator_id = k.creator_id and e.fan_id = k.fan_id
    where (e.tx, e.id) > (cast(cast(:from_tx as text) as xid8), :from_id)
    """
)
_NEW = text(
    """
    select distinct creator_id, fan_id from inbox
    where (tx, id) > (cast(cast(:tx as text) as xid8), :id)
      and (creator_id, fan_id) > (:creator, :fan)
    order by 1, 2 limit :limit
    """
)
_HELD = text(
    """
    select distinct e.creator_id, e.fan_id
    from quarantine q join inbox e on e.id = q.row and e.creator_id = q.creator_id
    where q.import_id = 'inbox' and q.id > :since and (e.creator_id, e.fan_id) > (:creator, :fan)
    order by 1, 2 limit :limit
    """
)
_QUARANTINE = text(
    "select coalesce(max(id), 0) as newest, count(*) filter (where state = 'replayed') as gone"
    " from quarantine where import_id = 'inbox'"
)
_COLUMNS = ", ".join([*(fact.name for fact in facts.FACTS), "imported"])
_TYPES = {
    "sum": "bigint", "count": "bigint", "min": "timestamptz", "max": "timestamptz",
    "distinct": "text[]",
}  # fmt: skip
_PUT = text(
    f"""
    insert into tallies (creator_id, fan_id, {_COLUMNS})
    select r.* from jsonb_to_recordset(cast(:rows as jsonb)) as r(
        creator_id text, fan_id text,
        {", ".join(f"{f.name} {_TYPES[f.kind]}" for f in facts.FACTS)}, imported bigint[])
    join creators c on c.id = r.creator_id
    on conflict (creator_id, fan_id) do update
    set {", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", "))}
    """
)


_EMPTY = {"sum": "0", "count": "0", "distinct": "[]"}
_FILLED = ", ".join(
    f"coalesce({fact.name}, {_EMPTY.get(fact.kind, 'null')}) as {fact.name}" for fact in facts.FACTS
)
_COUNT = (
    # One look at the lake, which is what costs.
    f"create or replace temp table recount_old as select {_EVENT}, starts_with(source, 'import:')"
    " as imported from lake.raw.events semi join recount_wanted using (creator_id, fan_id)"
    " anti join (from recount_live where later) using (creator_id, event_id)",
    f"create or replace temp table recount_events as select {_EVENT} from recount_old"
    f" union all select {_EVENT} from recount_live anti join recount_old"
    " using (creator_id, event_id) where not later and not pulled",
    f"create or replace temp table recounted as select creator_id, fan_id, {_FILLED},"
    f" coalesce(imported, []) as imported from recount_wanted"
    f" left join ({facts.state('recount_events')}) using (creator_id, fan_id)"
    f" left join (select creator_id, fan_id, list({_FINGERPRINT}) as imported from recount_old"
    " where imported group by all) using (creator_id, fan_id)",
)
"""What makes `recounted` of `recount_wanted` (the fans) and `recount_live` (their inbox)."""


def step(connection: Connection, lake: duckdb.DuckDBPyConnection, place: Position) -> int:
    """Count the next fans anew; return how many. 0: the kept facts are those of this lake.

    Args:
        connection: PostgreSQL; it holds the reader of the automations.
        lake: the lake, outside a transaction.
        place: how far that reader has come.
    """
    with lakes.still(lake):
        return within(connection, lake, place, lakes.snapshot(lake))


def within(
    connection: Connection, lake: duckdb.DuckDBPyConnection, place: Position, snapshot: int
) -> int:
    """Do the same with a lake that stands `still` at a snapshot; temporary tables end with that."""
    if tally.current(connection, snapshot):
        return 0
    held = checkpoints.take(connection, NAME)
    done = _step(connection, lake, place, held, snapshot)
    checkpoints.move(connection, NAME, held)
    return done


def _step(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection,
    place: Position,
    held: dict[str, Any],
    snapshot: int,
) -> int:
    """Take one step and put down in `held` where it goes on."""
    quarantine = connection.execute(_QUARANTINE).one()
    goal = {"arrival": _arrival(lake), "held": quarantine.newest, "after": ["", ""]}
    version = f"{facts.VERSION}/{quarantine.gone}"  # what was let go may have been corrected
    if held.get("version") != version:
        connection.execute(text("delete from tallies"))
        held |= {"version": version, "arrival": 0, "held": 0, "ready": False, "doing": goal}
    doing = held.pop("doing", goal)
    keys = _touched(connection, lake, held, doing)
    fans(connection, lake, keys, place)
    if len(keys) == FANS:
        held["doing"] = {**doing, "after": list(keys[-1])}
    else:
        held |= {"arrival": doing["arrival"], "held": doing["held"], "ready": True}
        held["snapshot"] = snapshot if doing["arrival"] == goal["arrival"] else None
    return len(keys)


def _touched(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection,
    held: dict[str, Any],
    doing: dict[str, Any],
) -> list[Key]:
    """Return the next fans that have to be counted, in order."""
    creator, fan = doing["after"]
    rest = {"creator": creator, "fan": fan, "limit": FANS}
    if held["ready"]:
        span = f"arrival > {held['arrival']} and arrival <= {doing['arrival']}"
        some = f"starts_with(source, 'import:') and {span}"
        found = connection.execute(_HELD, {**rest, "since": held["held"]}).all()
    else:
        some = "true"
        tx, id_ = people.pulled(lake)
        found = connection.execute(_NEW, {**rest, "tx": str(tx), "id": id_}).all()
    rows = lake.execute(
        f"select distinct creator_id, fan_id from lake.raw.events where {some} and (creator_id,"
        f" fan_id) > ({quoted(creator)}, {quoted(fan)}) order by all limit {FANS}"
    ).fetchall()
    return sorted({*rows, *((row[0], row[1]) for row in found)})[:FANS]


def fans(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection,
    keys: Collection[Key],
    place: Position,
) -> None:
    """Count some fans' events up to a place in the inbox, and keep what comes of it."""
    if not keys:
        return
    wanted = pl.DataFrame(
        list(keys), schema={"creator_id": pl.String, "fan_id": pl.String}, orient="row"
    )
    live = _live(connection, wanted, place, Position(*people.pulled(lake)))
    lake.register("recount_wanted", wanted.to_arrow())
    lake.register("recount_live", live.to_arrow())
    try:
        for statement in _COUNT:
            lake.execute(statement)
        rows = lake.execute("select count(*) from recounted").fetchone() or (0,)
        for start in range(0, int(rows[0]), _CHUNK):
            part = f"(select * from recounted order by all limit {_CHUNK} offset {start})"
            told = lake.execute(f"select cast(to_json(list(r)) as varchar) from {part} r")
            connection.execute(_PUT, {"rows": (told.fetchone() or ("[]",))[0]})
    finally:
        lake.unregister("recount_wanted")
        lake.unregister("recount_live")


def _live(
    connection: Connection, wanted: pl.DataFrame, place: Position, pulled: Position
) -> pl.DataFrame:
    """Return what the inbox holds of some fans beyond the reader's place or the lake's."""
    first = min(place, pulled)
    values = {
        **arrays.pairs(wanted.iter_rows()), "tx": str(place.tx), "id": place.id,
        "lake_tx": str(pulled.tx), "lake_id": pulled.id, "from_tx": str(first.tx),
        "from_id": first.id,
    }  # fmt: skip
    rows = connection.execute(_LIVE, values).all()
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(_PLAIN)
    kinds = zip(_PLAIN.items(), columns, strict=True)
    return pl.DataFrame([pl.Series(name, rows_, dtype=kind) for (name, kind), rows_ in kinds])


def _arrival(lake: duckdb.DuckDBPyConnection) -> int:
    """Return the number of the newest batch of events in the lake."""
    row = lake.execute("select tx from lake.raw.cursors where name = 'arrival'").fetchone()
    return int(row[0]) if row else 0
