"""The demo's report as data: every figure read back from where it was settled, none made here.

Metrics come from the lake, messages and automations from PostgreSQL, and what the platforms
counted from the simulator's own log. Drawing it is `reports.loop`'s job.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import Connection, text

from huntaze_pipeline.sql import quoted

Rows = list[dict[str, Any]]
LIMIT = 10

_LOG = "{platform: 'VARCHAR', account: 'VARCHAR', t: 'DOUBLE', \"at\": 'VARCHAR'}"
_ROLLING = """
with log as (
    select platform, account, t, "at",
           count(*) over (partition by platform, account order by t
                          range between 60 preceding and current row) as in_window
    from {log}
)
"""
_ARRIVALS = (
    _ROLLING
    + """
select count(*) as arrivals, count(distinct (platform, account)) as accounts,
       coalesce(max(in_window), 0) as max_in_any_60s
from log
"""
)
_MINUTES = (
    _ROLLING
    + """
select substr("at", 1, 16) || ':00Z' as minute, count(*) as sends, max(in_window) as busiest
from log group by 1 order by 1
"""
)

_CAMPAIGNS = """
select m.campaign_id as id, c.name, m.audience, m.sent, m.opened, m.clicked, m.converted,
       m.converters, m.revenue_micros / 1e6 as revenue, r.cost_micros / 1e6 as cost, r.roi,
       c.kind = 'imported' as imported
from lake.metrics.campaign_metrics m
join lake.marts.dim_campaigns c using (creator_id, campaign_id)
left join lake.metrics.campaign_roi r using (creator_id, campaign_id)
where m.audience > 0
order by try_cast(regexp_extract(m.campaign_id, '\\d+$') as integer), m.campaign_id
"""

_TIMELINE = """
with bought as (
    select cast(p.occurred_at at time zone c.zone as date) as day,
           sum(p.value_micros) / 1e6 as revenue
    from lake.staging.stg_purchases p join lake.raw.creators c on c.id = p.creator_id group by 1
), touched as (
    select day, sum(sent) as sent, sum(clicked) as clicked, sum(converted) as converted
    from lake.metrics.campaign_daily group by 1
), edges as (
    select min(day) as first, max(day) as last
    from (select day from bought union all select day from touched)
), days as (
    select cast(unnest(generate_series(first, last, interval 1 day)) as date) as day from edges
)
select cast(day as varchar) as day, coalesce(sent, 0)::bigint as sent,
       coalesce(clicked, 0)::bigint as clicked, coalesce(converted, 0)::bigint as converted,
       coalesce(revenue, 0) as revenue
from days left join touched using (day) left join bought using (day) order by day
"""

_COUNTS = {
    "events": "select count(*) from lake.raw.events",
    "fans": "select count(*) from lake.raw.fans",
    "lines": "select count(*) from lake.raw.lines",
    "baskets": "select count(*) from lake.raw.events where name = 'purchase'"
    " and source <> 'receipt'",
    "redemptions": "select count(*) from lake.raw.events where name = 'redeemed'",
}

_AUTOMATIONS = """
select a.id, a.name, count(distinct e.id) as entered,
       (select count(*) from messages m where m.creator_id = a.creator_id
          and m.source = 'automation' and m.source_id = a.id and m.state <> 'skipped') as messages
from automations a
left join executions e on e.creator_id = a.creator_id and e.automation_id = a.id
group by a.creator_id, a.id, a.name order by a.id
"""


def lake_rows(lake: duckdb.DuckDBPyConnection, query: str) -> Rows:
    """Return a query's rows as dictionaries."""
    relation = lake.execute(query)
    names = [column[0] for column in relation.description or []]
    return [dict(zip(names, row, strict=True)) for row in relation.fetchall()]


def store_rows(store: Connection, query: str) -> Rows:
    """Return a PostgreSQL query's rows as dictionaries."""
    return [dict(row) for row in store.execute(text(query)).mappings()]


def counted(lake: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count what is in the lake."""
    return {name: next(iter(lake_rows(lake, sql)[0].values())) for name, sql in _COUNTS.items()}


def campaigns(lake: duckdb.DuckDBPyConnection) -> tuple[Rows, Rows]:
    """Return the imported campaigns and the live ones, each with its metrics and ROI."""
    rows = [_plain(row) for row in lake_rows(lake, _CAMPAIGNS)]
    kinds: dict[bool, Rows] = {True: [], False: []}
    for row in rows:
        kinds[row.pop("imported")].append(row)
    return kinds[True], kinds[False]


def revenue(lake: duckdb.DuckDBPyConnection, kind: str) -> dict[str, float]:
    """Return total, attributed and unattributed revenue of imported or live purchases."""
    rows = lake_rows(lake, f"from lake.metrics.revenue where kind = '{kind}'")
    keys = ("total", "attributed", "unattributed")
    return {key: round(sum(r[f"{key}_micros"] for r in rows) / 1e6, 2) for key in keys}


def experiments(store: Connection, lake: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return how many tests were analysed, how they stand, who won, and the arms' rates."""
    rows = store_rows(store, "select id, state, winner_variant_id from experiments order by id")
    states = sorted({row["state"] for row in rows})
    return {
        "analysed": len(rows),
        "by_state": {s: sum(row["state"] == s for row in rows) for s in states},
        "winners": [
            {"experiment": row["id"], "variant": row["winner_variant_id"]}
            for row in rows
            if row["winner_variant_id"]
        ],
        "arms": [_arm(row) for row in lake_rows(lake, "from lake.metrics.experiment_arms")],
    }


def _arm(row: dict[str, Any]) -> dict[str, Any]:
    """Give one arm's rate with its 95 % interval."""
    from huntaze_pipeline.measurement.proportions import wilson

    n = row["n"]
    low, high = (float(bound[0]) for bound in wilson([row["sum"]], [n])) if n else (0.0, 1.0)
    return {
        "experiment": row["experiment_id"], "variant": row["variant_id"], "n": n,
        "rate": row["sum"] / n if n else 0.0, "ci": [low, high],
    }  # fmt: skip


def messages(store: Connection) -> dict[str, dict[str, int]]:
    """Count the live messages by state, and the skipped ones by reason."""
    states = store_rows(store, "select state, count(*) as n from messages group by 1 order by 1")
    skips = store_rows(
        store,
        "select coalesce(split_part(reason, ':', 1), 'unsaid') as reason, count(*) as n"
        " from messages where state = 'skipped' group by 1 order by 1",
    )
    return {
        "by_status": {row["state"]: row["n"] for row in states},
        "skipped_by_reason": {row["reason"]: row["n"] for row in skips},
    }


def automations(store: Connection) -> Rows:
    """Return each automation with how many entered and how many messages came of it."""
    return store_rows(store, _AUTOMATIONS)


def segments(store: Connection) -> Rows:
    """Return each segment's size."""
    return store_rows(store, "select id, name, size from segments order by size desc, id")


def timeline(lake: duckdb.DuckDBPyConnection) -> Rows:
    """Return sends, clicks, conversions and all revenue by day of the creator's zone, no gaps."""
    return [_plain(row) for row in lake_rows(lake, _TIMELINE)]


def reconciliation(lake: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return whether the books balance for every campaign and automation (law 5)."""
    rows = [_plain(row) for row in lake_rows(lake, "from lake.metrics.reconciliation")]
    return {"balanced": bool(rows) and all(row["balanced"] for row in rows), "rows": rows}


def limiter(arrivals: Path, judge: dict[str, Any]) -> dict[str, Any]:
    """Return what the platforms counted: read from their log, not from what we believe we sent.

    Args:
        arrivals: the simulator's append-only log of arrivals, refused ones included.
        judge: the simulator's own summary, for what the log does not say.
    """
    log = f"read_json({quoted(str(arrivals))}, columns = {_LOG})"
    with duckdb.connect() as reader:
        minutes = lake_rows(reader, _MINUTES.format(log=log))
        (total,) = lake_rows(reader, _ARRIVALS.format(log=log))
    return {
        **total,
        "bans": judge["bans"],
        "duplicates": judge["duplicates"],
        "limit": LIMIT,
        "per_minute": minutes,
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Make a row's values JSON's own: decimals to floats, instants to text."""
    return {key: _value(value) for key, value in row.items()}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    return round(float(value), 6)
