"""What the people of a batch did, event by event, as far as live conditions ask for it.

Belongs here: reading events and campaigns. Events come from the lake (all that it holds) and the
inbox (what the lake has not pulled yet), each once; only the names that are counted, and no further
back than the longest window.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import duckdb
import polars as pl
from sqlalchemy import Connection, text

from huntaze_pipeline.rulebook import behaviour, people
from huntaze_pipeline.rulebook.conditions import Condition

_COLUMNS = tuple(name for name in people.EVENTS if name != "position")
_TYPES = {name: people.EVENTS[name] for name in _COLUMNS}
_INBOX = text(
    """
    select e.creator_id, e.event_id, e.name, e.fan_id, e.platform, e.account_id, e.campaign_id,
           e.message_id, e.value_micros, e.currency, e.occurred_at,
           e.properties::text as properties
    from unnest(cast(:creators as text[]), cast(:fans as text[])) as k(creator_id, fan_id)
    join inbox e on e.creator_id = k.creator_id and e.fan_id = k.fan_id
    where (e.tx, e.id) > (cast(cast(:tx as text) as xid8), :id)
      and e.name = any(:names) and (cast(:since as timestamptz) is null or e.occurred_at >= :since)
    """
)
_LAKE = f"""
    select {", ".join(f"e.{name}" for name in _COLUMNS)}
    from lake.raw.events e join wanted using (creator_id, fan_id)
    where e.name in (select unnest($names)) and ($since is null or e.occurred_at >= $since)
"""
_CAMPAIGNS = text(
    """
    select c.creator_id, c.id, c.name, c.type, c.template_id as template, c.platforms, c.start_at
    from unnest(cast(:creators as text[]), cast(:ids as text[])) as k(creator_id, id)
    join campaigns c on c.creator_id = k.creator_id and c.id = k.id
    """
)


def add(
    known: people.People,
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    events: pl.DataFrame,
    conditions: Iterable[Condition],
    *,
    besides: Sequence[str] = (),
) -> None:
    """Add to the people of a batch what conditions ask of their events and campaigns.

    Args:
        known: the people; `history` and `campaigns` are set.
        connection: PostgreSQL.
        lake: the lake's connection; None when there is no lake.
        events: the batch, with `moment` when that is not when each occurred.
        conditions: every condition that may be asked of it.
        besides: event ids that must not be in the histories: those of a batch to be planned.
    """
    asked = list(conditions)
    if any(field.startswith("campaign.") for condition in asked for field in condition.fields):
        known.campaigns = _campaigns(connection, events)
    features = behaviour.union(*(condition.features for condition in asked))
    if features and not events.is_empty():
        moment = "moment" if "moment" in events.columns else "occurred_at"
        window = behaviour.longest(features)
        earliest: Any = events[moment].min()
        since = earliest - window if window is not None else None
        names = sorted({feature.event for feature in features})
        keys = events.select("creator_id", "fan_id").unique().sort("creator_id", "fan_id")
        found = _events(connection, lake, keys, names, since)
        known.history = found.filter(~pl.col("event_id").is_in(list(besides)))


def _events(
    connection: Connection,
    lake: duckdb.DuckDBPyConnection | None,
    keys: pl.DataFrame,
    names: list[str],
    since: datetime | None,
) -> pl.DataFrame:
    tx, id_ = people.pulled(lake)  # before the lake is read: what is pulled meanwhile is in both
    old = _lake(lake, keys, names, since)
    rows = connection.execute(
        _INBOX,
        {
            "creators": keys["creator_id"].to_list(), "fans": keys["fan_id"].to_list(),
            "tx": str(tx), "id": id_, "names": names, "since": since,
        },
    ).mappings()  # fmt: skip
    new = pl.DataFrame([dict(row) for row in rows], schema=_TYPES)
    return pl.concat([old, new.join(old, on=["creator_id", "event_id"], how="anti")])


def _lake(
    lake: duckdb.DuckDBPyConnection | None,
    keys: pl.DataFrame,
    names: list[str],
    since: datetime | None,
) -> pl.DataFrame:
    if lake is None:
        return pl.DataFrame(schema=_TYPES)
    lake.register("wanted", keys.to_arrow())
    try:
        found = lake.execute(_LAKE, {"names": names, "since": since}).pl()
    finally:
        lake.unregister("wanted")
    return found.select(pl.col(name).cast(_TYPES[name]) for name in _COLUMNS)


def _campaigns(connection: Connection, events: pl.DataFrame) -> dict[people.Key, dict[str, Any]]:
    named = events.select("creator_id", "campaign_id").drop_nulls().unique()
    keys = {"creators": named["creator_id"].to_list(), "ids": named["campaign_id"].to_list()}
    rows = connection.execute(_CAMPAIGNS, keys).mappings()
    return {(row["creator_id"], row["id"]): dict(row) for row in rows}
