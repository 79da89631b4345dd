"""The people that a batch of events is about: profiles, facts before the batch, addresses.

Belongs here: reading. Facts come from the lake (all that it holds) and the inbox (what the lake has
not pulled yet), each event counted once. Single events are read by `conduct`, deciding is
`planner`'s.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import duckdb
import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.events.inbox import Position
from huntaze_pipeline.rulebook import facts, prepared, tally
from huntaze_pipeline.store import arrays, volley

EVENTS: dict[str, Any] = {
    "position": pl.Int64, "creator_id": pl.String, "event_id": pl.String, "name": pl.String,
    "fan_id": pl.String, "platform": pl.String, "account_id": pl.String,
    "campaign_id": pl.String, "message_id": pl.String, "value_micros": pl.Int64,
    "currency": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "properties": pl.String,
}  # fmt: skip
PROFILES: dict[str, Any] = {
    "creator_id": pl.String, "fan_id": pl.String, "name": pl.String, "zone": pl.String,
    "locale": pl.String, "birthday": pl.Date, "profile_subscribed_at": pl.Datetime("us", "UTC"),
    "created_at": pl.Datetime("us", "UTC"), "tags": pl.List(pl.String), "attributes": pl.String,
    "segments": pl.List(pl.String),
}  # fmt: skip
_SHELF = prepared.Shelf()
Key = tally.Key
_UNREAD = text(
    f"""
    select e.event_id
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join inbox e on e.creator_id = k.creator_id and e.fan_id = k.fan_id
    left join tallies t on t.creator_id = e.creator_id and t.fan_id = e.fan_id
    where (e.tx, e.id) > (cast(cast(:tx as text) as xid8), :id)
      and not coalesce({tally.FINGERPRINT} = any(t.imported), false)
    """
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a fan can be reached, and by which of our accounts."""

    platform: str
    account_id: str
    address: str
    normalised: str
    last_inbound_at: datetime | None


@dataclass
class People:
    """Everything the planner needs about some fans."""

    fans: pl.DataFrame
    """Profiles with the facts' state columns (null: nothing happened yet)."""
    addresses: dict[Key, list[Address]] = field(default_factory=dict)
    creators: dict[str, dict[str, Any]] = field(default_factory=dict)
    campaigns: dict[Key, dict[str, Any]] = field(default_factory=dict)
    """Those that the events name, by (creator_id, id)."""
    history: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=EVENTS))
    """The fans' events before the batch, as far as conditions ask for them."""


_FANS = text(
    """
    select f.creator_id, f.id as fan_id, f.name, f.zone, f.locale, f.birthday,
           f.subscribed_at as profile_subscribed_at, f.created_at,
           f.tags::text as tags, f.attributes::text as attributes,
           coalesce((select jsonb_agg(m.segment_id order by m.segment_id) from members m
                     where m.creator_id = f.creator_id and m.fan_id = f.id
                       and m.left_at is null), '[]')::text as segments
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join fans f on f.creator_id = k.creator_id and f.id = k.fan_id
    """
)
_WORDS = ("fan_id", "name", "zone", "locale", "birthday", "created_at", "tags", "attributes")
_ADDRESSES = text(
    """
    select i.creator_id, i.fan_id, i.platform, i.account_id, i.address, i.normalised,
           i.last_inbound_at
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join identities i on i.creator_id = k.creator_id and i.fan_id = k.fan_id
    order by i.creator_id, i.fan_id, i.platform
    """
)
_INBOX = text(
    """
    select e.creator_id, e.event_id, e.name, e.fan_id, e.campaign_id, e.message_id,
           e.value_micros, e.occurred_at
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join inbox e on e.creator_id = k.creator_id and e.fan_id = k.fan_id
    where (e.tx, e.id) > (cast(cast(:tx as text) as xid8), :id)
    """
)
_CREATORS = text("select id, name, zone, currency from creators where id = any(:creators)")
_LAKE = """
    select e.creator_id, e.event_id, e.name, e.fan_id, e.campaign_id, e.message_id,
           e.value_micros, e.occurred_at
    from lake.raw.events e join wanted using (creator_id, fan_id)
"""


def frame(events: Iterable[Event]) -> pl.DataFrame:
    """Return events as the planner's frame; `position` is their order."""
    rows = list(events)
    plain = EVENTS.keys() - {"position", "properties"}
    columns: dict[str, Any] = {name: [getattr(event, name) for event in rows] for name in plain}
    columns["position"] = range(len(rows))
    columns["properties"] = [json.dumps(event.properties) for event in rows]
    return pl.DataFrame({name: columns[name] for name in EVENTS}, schema=EVENTS)


def profile(connection: Connection, creator_id: str, fan_id: str) -> dict[str, Any] | None:
    """Return what is known of one fan besides facts; None when there is no such fan."""
    names = {"creators": [creator_id], "fans": [fan_id]}
    row = connection.execute(_FANS, names).mappings().one_or_none()
    if row is None:
        return None
    return {k: json.loads(v) if k == "tags" else v for k, v in row.items() if k in _WORDS}


def platforms(connection: Connection, creator_id: str, fan_id: str) -> list[str]:
    """Return where one fan has an address."""
    names = {"creators": [creator_id], "fans": [fan_id]}
    return [row.platform for row in connection.execute(_ADDRESSES, names)]


def load_fans(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    keys: Iterable[Key],
    *,
    besides: Sequence[str] = (),
    kept: tally.Kept | None = None,
) -> People:
    """Read the fans with these keys.

    Args:
        connection: PostgreSQL, as the machinery or as the creator.
        lake: the lake's connection; None when there is no lake, then the inbox is all there is.
        keys: (creator_id, fan_id).
        besides: event ids that must not be in the facts: those of the batch to be planned.
        kept: their facts as far as they are kept by key; the others' are counted from all events.
    """
    wanted = sorted(set(keys))
    names = arrays.pairs(wanted)
    profiles, addresses, creators = volley.ask(
        connection, (_FANS, names), (_ADDRESSES, names),
        (_CREATORS, {"creators": sorted({k[0] for k in wanted})}),
    )  # fmt: skip
    people = People(_profiles(profiles))
    for creator_id, fan_id, *address in addresses:
        people.addresses.setdefault((creator_id, fan_id), []).append(Address(*address))
    people.creators = {row.id: row._asdict() for row in creators}
    if kept is None:
        people.fans = _counted(connection, lake, people.fans, wanted, besides)
    else:
        key = ["creator_id", "fan_id"]
        people.fans = people.fans.join(kept.states, on=key, how="left")
        if odd := sorted(kept.odd):
            names = pl.DataFrame(odd, schema=dict.fromkeys(key, pl.String), orient="row")
            those = people.fans.select([*PROFILES]).join(names, on=key, how="semi")
            counted = _counted(connection, lake, those, odd, besides)
            rest = people.fans.join(names, on=key, how="anti")
            people.fans = pl.concat([rest, counted.cast(rest.schema)])
    return people


def _counted(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    fans: pl.DataFrame,
    wanted: list[Key],
    besides: Sequence[str],
) -> pl.DataFrame:
    """Return profiles with facts counted from all events of these fans."""
    names = arrays.pairs(wanted)
    tx, id_ = pulled(lake)  # before the history is read: what is pulled meanwhile is in both
    history = _history(lake, wanted)
    newer = connection.execute(_INBOX, {**names, "tx": str(tx), "id": id_}).all()
    tail = _frame(newer, {name: EVENTS[name] for name in history.columns})
    return _with_facts(fans, history, tail, besides)


def _profiles(rows: Sequence[Any]) -> pl.DataFrame:
    """Return rows of `_FANS`; its lists come as JSON, which Polars reads at once."""
    lists = [name for name, kind in PROFILES.items() if kind == pl.List(pl.String)]
    written = _frame(rows, PROFILES | dict.fromkeys(lists, pl.String))
    return written.with_columns(pl.col(lists).str.json_decode(pl.List(pl.String)))


def _frame(rows: Sequence[Any], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Return rows whose columns stand in the order of a schema; dicts of them cost twice."""
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pl.DataFrame(dict(zip(schema, map(list, columns), strict=True)), schema=dict(schema))


def unread(connection: Connection, keys: Iterable[Key], after: Position) -> list[str]:
    """Return the events of some fans that lie behind a batch's end.

    A batch is judged by what had come until then, however late its tick is: they are `besides`.
    What a file had brought before is not among them.
    """
    wanted = sorted(set(keys))
    values = {**arrays.pairs(wanted), "tx": str(after.tx), "id": after.id}
    rows = connection.execute(_UNREAD, values)
    return list(rows.scalars())


def pulled(lake: duckdb.DuckDBPyConnection | None) -> tuple[int, int]:
    """Return how far the lake has read the inbox."""
    if lake is None:
        return 0, 0
    row = lake.execute("select tx, id from lake.raw.cursors where name = 'inbox'").fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _with_facts(
    fans: pl.DataFrame,
    history: pl.DataFrame,
    tail: pl.DataFrame,
    besides: Sequence[str],
) -> pl.DataFrame:
    inbox = tail.join(history, on=["creator_id", "event_id"], how="anti")
    events = pl.concat([history, inbox]).filter(~pl.col("event_id").is_in(list(besides)))
    bench = _SHELF.take((*events.schema.items(), *fans.schema.items()), prepared.Bench)
    bench.fill("events", events)
    bench.fill("fans", fans)
    query = f"from fans left join ({facts.state('events')}) using (creator_id, fan_id)"
    return bench.ask("facts", lambda: query).pl()


def _history(lake: duckdb.DuckDBPyConnection | None, wanted: list[Key]) -> pl.DataFrame:
    names = [
        "creator_id", "event_id", "name", "fan_id", "campaign_id", "message_id", "value_micros",
        "occurred_at",
    ]  # fmt: skip
    if lake is None or not wanted:
        return pl.DataFrame(schema={name: EVENTS[name] for name in names})
    keys = pl.DataFrame(wanted, schema={"creator_id": pl.String, "fan_id": pl.String}, orient="row")
    lake.register("wanted", keys.to_arrow())
    try:
        found = lake.execute(_LAKE).pl()
    finally:
        lake.unregister("wanted")
    return found.select(pl.col(name).cast(EVENTS[name]) for name in names)
