"""Silences: fans who have not done something for so long, each silence told once.

A row per clock and fan holds when the silence will be long enough. New events move it (read in
order of arrival, from the inbox and, for imported history, from the lake), so a round looks at what
is new and at who is due, never at all of history. Whoever was silent before the rule went live is
told of only after the next event and a new silence.
"""

from collections.abc import Iterator
from datetime import datetime

import duckdb
import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.store import checkpoints
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.timing import clocks
from huntaze_pipeline.warehouse import lake as lakes

READER = "silences"
_CHUNK = 10_000
_SOME = text("select exists (select from clocks where awaits is not null)")
_END = text(
    """
    select tx::text::bigint as tx, id from inbox where tx < pg_snapshot_xmin(pg_current_snapshot())
    order by inbox.tx desc, id desc limit 1
    """
)
_UPTO = text(
    """
    select tx::text::bigint as tx, id, count(*) over () as rows from (
        select tx, id from inbox
        where (tx, id) > (cast(cast(:tx as text) as xid8), :id)
          and tx < pg_snapshot_xmin(pg_current_snapshot())
        order by tx, id limit :limit) as ahead
    order by ahead.tx desc, id desc limit 1
    """
)
_UPSERT = """
    insert into silences (creator_id, clock_id, fan_id, last_at, due_at)
    select k.creator_id, k.id, e.fan_id, max(e.occurred_at),
           case when max(e.occurred_at) + k.span > k.since then max(e.occurred_at) + k.span end
    from {events} as e
    join clocks k on k.creator_id = e.creator_id and jsonb_exists(k.awaits, e.name)
        and (jsonb_array_length(k.trigger -> 'silence' -> 'platform') = 0
             or jsonb_exists(k.trigger -> 'silence' -> 'platform', e.platform))
    where {where}
    group by k.creator_id, k.id, e.fan_id
    on conflict (creator_id, clock_id, fan_id) do update
    set last_at = excluded.last_at, due_at = excluded.due_at
    where excluded.last_at > silences.last_at
"""
_FOLLOW = text(
    _UPSERT.format(
        events="inbox",
        where="(e.tx, e.id) > (cast(cast(:tx as text) as xid8), :id)"
        " and (e.tx, e.id) <= (cast(cast(:to_tx as text) as xid8), :to_id)",
    )
)
_LEARN = text(
    _UPSERT.format(
        events="(select * from jsonb_to_recordset(cast(:rows as jsonb)) as r(creator_id text,"
        " name text, fan_id text, platform text, occurred_at timestamptz))",
        where="cast(:clock as text) is null or k.id = :clock",
    )
)
_TAIL = text(
    """
    select creator_id, name, fan_id, platform, max(occurred_at) as occurred_at from inbox
    where creator_id = :creator and name = any(:names)
      and (tx, id) > (cast(cast(:tx as text) as xid8), :id)
    group by creator_id, name, fan_id, platform
    """
)
_HISTORY = """
    select creator_id, name, fan_id, platform, max(occurred_at) as occurred_at
    from lake.raw.events where {where} group by all
"""
_FIRE = text(
    """
    with due as (
        select s.creator_id, s.clock_id, s.fan_id, s.last_at, s.due_at,
               coalesce(s.due_at + k.late < :now, false) as missed
        from silences s join clocks k on k.creator_id = s.creator_id and k.id = s.clock_id
        where s.due_at <= :now and k.ready
        order by s.due_at limit :limit for update of s skip locked
    ), told as (
        update silences s set due_at = null from due d
        where s.creator_id = d.creator_id and s.clock_id = d.clock_id and s.fan_id = d.fan_id
    ), added as (
        insert into inbox (creator_id, event_id, name, fan_id, occurred_at, source, properties)
        select creator_id,
               'clock:' || clock_id || ':' || to_char(last_at at time zone 'UTC',
                   'YYYY-MM-DD"T"HH24:MI:SS.US') || ':' || fan_id,
               'silent', fan_id, due_at, 'clock',
               jsonb_build_object('trigger', clock_id, 'last', last_at)
        from due where not missed order by due_at, fan_id
        on conflict (creator_id, event_id) do nothing
    ), lost as (
        insert into occasions (creator_id, clock_id, zone, name, at, state, times)
        select creator_id, clock_id, '*', to_char(cast(:now as timestamptz) at time zone 'UTC',
               'YYYY-MM-DD"T"HH24:MI'), max(due_at), 'missed', count(*)
        from due where missed group by creator_id, clock_id
        on conflict (creator_id, clock_id, zone, name) do update
        set times = occasions.times + excluded.times
    )
    select count(*) as due, count(*) filter (where missed) as missed from due
    """
)
_NEW = text("select creator_id, id, trigger::text as trigger, since from clocks where not ready")
_READY = text("update clocks set ready = true where creator_id = :creator and id = :clock")


def seed(store: Store, lake: duckdb.DuckDBPyConnection | None) -> int:
    """Begin to measure the silences of new clocks: one look at history for each.

    Writes in small transactions: a long one would hold up every reader of the inbox. Repeating it
    after a crash changes nothing.

    Returns:
        How many rows of history there were.
    """
    with store.worker() as connection:
        new = connection.execute(_NEW).all()
        if new:
            _begin(connection, lake)
    count = 0
    for row in new:
        trigger = clocks.read(row.trigger)
        names = list(trigger.silence.event) if trigger and trigger.silence else []
        for part in _past(store, lake, row.creator_id, names):
            with store.worker() as connection:
                connection.execute(_LEARN, {"rows": _json(part), "clock": row.id})
            count += part.height
        with store.worker() as connection:
            connection.execute(_READY, {"creator": row.creator_id, "clock": row.id})
    return count


def _begin(connection: Connection, lake: duckdb.DuckDBPyConnection | None) -> None:
    """Let the first reading begin where we are: what lies behind is history, which is seeded."""
    held = checkpoints.take(connection, READER)
    end = connection.execute(_END).first()
    now = {"tx": end.tx, "id": end.id} if end else {}
    checkpoints.move(connection, READER, {**now, "arrival": _arrival(lake), **held})


def _past(
    store: Store, lake: duckdb.DuckDBPyConnection | None, creator_id: str, names: list[str]
) -> Iterator[pl.DataFrame]:
    """Yield when each fan did this last: all of the lake, and what it has not pulled yet."""
    tx = id_ = 0
    if lake is not None:
        cursor = "select tx, id from lake.raw.cursors where name = 'inbox'"
        tx, id_ = lake.execute(cursor).fetchone() or (0, 0)  # before the events: overlap is no harm
        where = _HISTORY.format(where="creator_id = ? and name in (select unnest(?))")
        yield from lake.execute(where, [creator_id, names]).pl().iter_slices(_CHUNK)
    with store.worker() as connection:
        values = {"creator": creator_id, "names": names, "tx": str(tx), "id": id_}
        rows = [dict(row) for row in connection.execute(_TAIL, values).mappings()]
    yield from pl.DataFrame(rows).iter_slices(_CHUNK) if rows else ()


def follow(connection: Connection, limit: int = 10_000) -> int:
    """Take in the next events of the inbox; return how many were read."""
    if not connection.execute(_SOME).scalar():
        return 0
    held = checkpoints.take(connection, READER)
    place = {"tx": str(held.get("tx", 0)), "id": held.get("id", 0)}
    upto = connection.execute(_UPTO, {**place, "limit": limit}).first()
    if upto is None:
        return 0
    connection.execute(_FOLLOW, {**place, "to_tx": str(upto.tx), "to_id": upto.id})
    checkpoints.move(connection, READER, {**held, "tx": upto.tx, "id": upto.id})
    return upto.rows


def learn(store: Store, lake: duckdb.DuckDBPyConnection) -> int:
    """Take in history that was imported into the lake since the last look; return how much.

    Asked twice a second: a lake that stands where it stood is not looked into.
    """
    with store.worker() as connection:
        if not connection.execute(_SOME).scalar():
            return 0
        held = checkpoints.read(connection, READER)
    snapshot = lakes.snapshot(lake)  # before the look: what comes meanwhile is seen the next time
    if held.get("snapshot") == snapshot:
        return 0
    before, newest = held.get("arrival", 0), _arrival(lake)
    count = _imported(store, lake, before, newest) if newest > before else 0
    with store.worker() as connection:
        held = checkpoints.take(connection, READER)
        latest = max(newest, held.get("arrival", 0))
        checkpoints.move(connection, READER, {**held, "arrival": latest, "snapshot": snapshot})
    return count


def _imported(store: Store, lake: duckdb.DuckDBPyConnection, after: int, upto: int) -> int:
    """Take in what files brought in some arrivals."""
    where = "arrival > ? and arrival <= ? and starts_with(source, 'import:')"
    frame = lake.execute(_HISTORY.format(where=where), [after, upto]).pl()
    for part in frame.iter_slices(_CHUNK):
        with store.worker() as connection:
            connection.execute(_LEARN, {"rows": _json(part), "clock": None})
    return frame.height


def fire(connection: Connection, now: datetime, limit: int = 2_000) -> tuple[int, int]:
    """Make events of the silences that are long enough; return how many, and how many too late."""
    row = connection.execute(_FIRE, {"now": now, "limit": limit}).one()
    return row.due, row.missed


def _arrival(lake: duckdb.DuckDBPyConnection | None) -> int:
    """Return the number of the newest batch in the lake."""
    if lake is None:
        return 0
    row = lake.execute("select tx from lake.raw.cursors where name = 'arrival'").fetchone()
    return int(row[0]) if row else 0


def _json(rows: pl.DataFrame) -> str:
    times = (
        pl.col("occurred_at").dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
    )
    return rows.with_columns(times).write_json()
