"""The tables that conditions are asked of: event, fan, creator and campaign, as of each position.

Belongs here: making them from frames. Reading those is `people` and `conduct`, the questions are
`matching`.
"""

from collections.abc import Sequence
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.rulebook import behaviour, facts
from huntaze_pipeline.rulebook.behaviour import Feature
from huntaze_pipeline.rulebook.fields import CAMPAIGN, CREATOR, Type
from huntaze_pipeline.rulebook.people import People
from huntaze_pipeline.rulebook.prepared import Bench

_FRAMES = {
    Type.TEXT: pl.String, Type.TIME: pl.Datetime("us", "UTC"), Type.LIST: pl.List(pl.String),
}  # fmt: skip
_CREATORS: dict[str, Any] = {name: _FRAMES[kind] for name, kind in CREATOR.items()}
_CAMPAIGNS: dict[str, Any] = {
    "creator_id": pl.String, **{name: _FRAMES[kind] for name, kind in CAMPAIGN.items()},
}  # fmt: skip
_BEFORE = "CAST(-9223372036854775808 AS BIGINT)"
"""The position of everything that is older than the batch."""
_JOINS = {
    "creator": " LEFT JOIN creator ON creator.id = event.creator_id",
    "campaign": " LEFT JOIN campaign ON campaign.creator_id = event.creator_id"
    " AND campaign.id = event.campaign_id",
}


def fill(
    bench: Bench,
    events: pl.DataFrame,
    fans: pl.DataFrame,
    around: People,
    features: Sequence[Feature],
    *,
    running: bool,
) -> None:
    """Make the tables `event` and `fan`, one row each per position, and what is around them.

    Args:
        bench: where; it is for these features and this `running` only.
        events: a batch, with `moment`.
        fans: profiles with state columns.
        around: histories, creators, campaigns.
        features: what the fan's events are asked for; each becomes a column of `fan`.
        running: the batch is not in states and histories yet.
    """
    creators = [{name: row.get(name) for name in _CREATORS} for row in around.creators.values()]
    campaigns = [{name: row.get(name) for name in _CAMPAIGNS} for row in around.campaigns.values()]
    bench.fill("batch_frame", events)
    bench.fill("fans_frame", fans)
    bench.fill("creator", pl.DataFrame(creators, schema=_CREATORS))
    bench.fill("campaign", pl.DataFrame(campaigns, schema=_CAMPAIGNS))
    if features:
        bench.fill("history_frame", around.history)
    bench.make("event", _EVENT)
    bench.make("fan", _fan(running, _did(features, running)))


def fans(con: duckdb.DuckDBPyConnection, positions: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the fields of the fans at some positions; features are not among them."""
    query = (
        "SELECT COLUMNS(c -> c <> 'known' AND c NOT LIKE 'did\\_%' ESCAPE '\\') FROM fan"
        " WHERE known AND position IN (SELECT unnest(CAST($1 AS BIGINT[])))"
    )
    rows = con.execute(query, [list(positions)]).pl()
    return {row["position"]: row for row in rows.iter_rows(named=True)}


def joins(sql: str) -> str:
    """Return the joins of what some questions speak of besides `event` and `fan`."""
    return "".join(join for scope, join in _JOINS.items() if f'{scope}."' in sql)


_EVENT = """
        SELECT position, moment, creator_id, fan_id, event_id AS id, name, platform,
               account_id, campaign_id, message_id, occurred_at, currency, properties,
               CAST(value_micros AS DOUBLE) / 1000000 AS "value"
        FROM batch_frame ORDER BY position
"""
_SUBSCRIBED = "coalesce(s.subscribed_at, f.profile_subscribed_at) AS"


def _did(features: Sequence[Feature], running: bool) -> str:
    """Return the query of the features per position, or nothing when there are none."""
    if not features:
        return ""
    names = ", ".join(("creator_id", "event_id", "fan_id", *behaviour.FIELDS))
    events = f"SELECT {names}, {_BEFORE} AS position FROM history_frame"
    if running:
        events += f" UNION ALL SELECT {names}, position FROM batch_frame"
    return behaviour.columns(features, f"({events})", "batch_frame", ordered=running)


def _fan(running: bool, did: str) -> str:
    base = "fans_frame"
    still = f"""
        SELECT b.position, b.creator_id, b.fan_id, base.* EXCLUDE (creator_id, fan_id)
        FROM batch_frame b LEFT JOIN {base} base USING (creator_id, fan_id)
    """
    seen = facts.running(base, "batch_frame") if running else still
    more = ", did.* EXCLUDE (creator_id, fan_id, position)" if did else ""
    joined = f"LEFT JOIN ({did}) AS did ON did.position = s.position" if did else ""
    return f"""
            SELECT s.position, f.fan_id IS NOT NULL AS known, s.creator_id, s.fan_id AS id,
                   f.name, f.zone, f.locale, f.birthday,
                   f.tags, f.attributes, f.segments, f.created_at,
                   {facts.columns("s").replace("s.subscribed_at AS", _SUBSCRIBED)}{more}
            FROM ({seen}) AS s
            LEFT JOIN fans_frame AS f ON f.creator_id = s.creator_id AND f.fan_id = s.fan_id
            {joined}
            ORDER BY s.position
    """
