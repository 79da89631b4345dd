"""Building all models: from nothing against the bare engine and dbt, and one new day on top.

Ours: DuckLake with its catalog in PostgreSQL, contracts, grain and audits checked, every table
published in its own transaction. Bare: the same SQL, one CREATE TABLE after the other in one
DuckDB process and file, nothing checked. dbt (`--dbt PYTHON`, an interpreter that has dbt-duckdb):
the same SELECTs as dbt models; for the new day those that have a time or a key are `incremental`
with the filter that a dbt user writes. Interleaved rounds; prints one JSON line.
"""

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import _tended
import duckdb
from _dbt import Dbt
from duckdb import DuckDBPyConnection

from huntaze_pipeline import settings
from huntaze_pipeline.local import stack
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import care, declarations, lake, models, raw, runner, turn

START = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = models.load(settings.load().models_dir)
MESSAGES = 0.17
"""Messages for each event: 2.4 events are about one message, the rest are purchases and visits."""

_MESSAGES = """
insert into lake.raw.messages by name
select 'creator-' || (fan % 10) as creator_id, id, source,
       source || '-' || (day // 3 % 40) as source_id, 'fan-' || fan as fan_id, 0 as step,
       '' as occurrence, ['onlyfans', 'instagram', 'email'][1 + fan % 3] as platform,
       'account-' || (fan % 200) as account_id,
       case when source = 'campaign' and day // 3 % 4 = 0 then ['a', 'b'][1 + (h % 2)::bigint] end
           as variant_id,
       'sent' as state, told as decided_at, told + interval 2 minute as sent_at
from (
    select md5(i::varchar) as id, hash(i) as h, (hash(i, 1) % {fans})::bigint as fan, {day} as day,
           case when hash(i, 2) % 10 < 7 then 'campaign' else 'automation' end as source,
           timestamptz '{at}' + to_seconds((hash(i, 3) % 86400)::bigint) as told
    from range({first}, {first} + {messages}) r(i)
)
"""
_TOUCHES = """
insert into lake.raw.events by name
select creator_id, id || '-' || step_name as event_id, step_name as name, fan_id, platform,
       account_id, case when source = 'campaign' then source_id end as campaign_id,
       id as message_id,
       occurred_at, occurred_at as received_at, '{{}}' as properties, 'receipt' as source,
       {day} as arrival, decided_at as message_at, sent_at as message_sent_at,
       msource as message_source, source_id as message_source_id, variant_id
from (
    select m.*, m.source as msource, s.name as step_name, s.p,
           sent_at + to_seconds((hash(id, s.name) % (lag + 1))::bigint) as occurred_at
    from lake.raw.messages m
    cross join (values ('sent', 100, 0), ('delivered', 95, 20), ('opened', 40, 40000),
                ('clicked', 8, 60000)) s(name, p, lag)
    where decided_at >= timestamptz '{at}' and decided_at < timestamptz '{at}' + interval 1 day
)
where hash(id, step_name, 7) % 100 < p
order by occurred_at
"""
_ACTS = """
insert into lake.raw.events by name
select 'creator-' || (fan % 10) as creator_id, 'act-' || i as event_id, name,
       'fan-' || fan as fan_id,
       ['onlyfans', 'instagram', 'email'][1 + fan % 3] as platform,
       case when name in ('purchase', 'tip') then 1000000 + (h % 40000000)::bigint end
           as value_micros,
       case when name in ('purchase', 'tip') then 'USD' end as currency,
       told as occurred_at, told as received_at, '{{}}' as properties, 'api' as source,
       {day} as arrival
from (
    select i, hash(i, 4) as h, (hash(i, 5) % {fans})::bigint as fan,
           ['viewed', 'viewed', 'viewed', 'replied', 'purchase', 'tip', 'subscribed']
               [1 + (hash(i, 6) % 7)::bigint] as name,
           timestamptz '{at}' + to_seconds((hash(i, 8) % 86400)::bigint) as told
    from range({first}, {first} + {acts}) r(i)
)
order by told
"""


def prepared(ready: settings.Settings) -> settings.Settings:
    """Make the operational tables, empty."""
    store = Store(ready, pooled=False)
    _tended.upgrade(store)
    store.engine.dispose()
    return ready


def found(con: DuckDBPyConnection, fans: int) -> None:
    """What does not change: creators, campaigns, a test in every fourth, fans, rules, the clock."""
    con.execute(
        "insert into lake.raw.creators by name select 'creator-' || i as id,"
        " 'Europe/Paris' as zone, 'USD' as currency from range(10) r(i)"
    )
    con.execute(
        "insert into lake.raw.campaigns by name select 'creator-' || c as creator_id,"
        " 'campaign-' || i as id, 'Campaign ' || i as name, 'completed' as status, 'api' as source,"
        " '{}' as settings from range(10) a(c), range(40) b(i)"
    )
    con.execute(
        "insert into lake.raw.variants by name select creator_id, id as campaign_id, v as id,"
        " p as position, 1.0 as weight from lake.raw.campaigns,"
        " (values ('a', 0), ('b', 1)) t(v, p) where try_cast(split_part(id, '-', 2) as int) % 4 = 0"
    )
    con.execute(
        "insert into lake.raw.experiments by name"
        " select creator_id, campaign_id as id, campaign_id, 'clicked' as metric,"
        " 259200 as window_s, 0.05 as alpha, 'running' as state"
        " from lake.raw.variants where position = 0"
    )
    con.execute(
        "insert into lake.raw.fans by name select 'creator-' || (i % 10) as creator_id,"
        f" 'fan-' || i as id, 'Fan ' || i as name from range({fans}) r(i)"
    )
    raw.declare(con, declarations.load(settings.load().rules_dir), "lake.raw.")
    con.execute(f"insert into lake.raw.clock values (timestamptz '{START + timedelta(days=4000)}')")


def live(con: DuckDBPyConnection, day: int, events: int, fans: int) -> None:
    """Let one day happen."""
    messages = int(events * MESSAGES)
    at = (START + timedelta(days=day)).isoformat()
    names = {"day": day, "at": at, "fans": fans}
    con.execute(_MESSAGES.format(first=day * messages, messages=messages, **names))
    con.execute(_TOUCHES.format(**names))
    acts = events - int(messages * 2.43)
    con.execute(_ACTS.format(first=day * acts, acts=acts, **names))


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a piece of work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def copied(con: DuckDBPyConnection, folder: Path) -> None:
    """Write the raw tables where another engine can read them."""
    for table in raw.TABLES:
        con.execute(f"copy lake.raw.{table} to '{folder}/{table}.parquet'")


def bare(folder: Path) -> float:
    """Build everything in one process and file, nothing checked; loading is not counted."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        con = duckdb.connect()
        con.execute("set timezone = 'UTC'")
        con.execute(f"attach '{place}/bare.duckdb' as lake")
        for schema in lake.SCHEMAS:
            con.execute(f"create schema lake.{schema}")
        for table in raw.TABLES:
            con.execute(f"create table lake.raw.{table} as from '{folder}/{table}.parquet'")
        con.execute("checkpoint lake")

        def build() -> None:
            for model in PROJECT.models:
                kind = "view" if model.header.materialization == "view" else "table"
                con.execute(f"create {kind} lake.{model.name} as {model.sql}")
            con.execute("checkpoint lake")

        seconds = timed(build)
        con.close()
    return seconds


def built(con: DuckDBPyConnection, verbose: bool, *, full: bool = False) -> float:
    """Build ours; return seconds."""
    done: list[turn.Built] = []
    seconds = timed(lambda: done.extend(runner.build(con, PROJECT, full=full)))
    if verbose:
        print({one.name: (one.how, round(one.seconds, 2)) for one in done})
    return seconds


def again(
    con: DuckDBPyConnection, arguments: argparse.Namespace, rival: Dbt | None, day: int, fans: int
) -> dict[str, float]:
    """Build everything with each engine, let a day happen, and take it in with each."""
    data, seconds = arguments.data, {}
    if rival or not arguments.alone:
        copied(con, data)
    seconds["full"] = built(con, arguments.verbose, full=True)
    if not arguments.alone:
        seconds["bare"] = bare(data)
    if rival:
        rival.load()
        seconds["dbt_full"] = timed(lambda: rival.run("--full-refresh"))
    live(con, day, arguments.events // arguments.days, fans)
    seconds["new_day"] = built(con, arguments.verbose)
    if rival:
        copied(con, data)
        rival.load()
        seconds["dbt_new_day"] = timed(rival.run)
    return seconds


def measure(arguments: argparse.Namespace, home: Path) -> dict[str, object]:
    """Run all rounds on one lake that grows by a day a round."""
    fans = arguments.fans or arguments.events // 100
    arguments.data = home / "data"
    arguments.data.mkdir(parents=True)
    rival = Dbt(arguments.dbt, home / "dbt", arguments.data, PROJECT) if arguments.dbt else None
    with (
        stack.services(settings.load(), ("postgres",), home=home, throwaway=True) as ready,
        lake.connect(prepared(ready)) as con,
    ):
        if arguments.memory:
            con.execute(f"set memory_limit = '{arguments.memory}'")
        found(con, fans)
        for day in range(arguments.days):
            live(con, day, arguments.events // arguments.days, fans)
        care.run(con, START + timedelta(days=arguments.days), PROJECT)  # as every night
        rounds = [
            again(con, arguments, rival, arguments.days + number, fans)
            for number in range(arguments.rounds)
        ]
        (events,) = con.execute("select count(*) from lake.raw.events").fetchone() or (0,)
    told: dict[str, object] = {
        "benchmark": "build", "events": int(events), "days": arguments.days, "fans": fans,
        "models": len(PROJECT.models),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20), 2),
    }  # fmt: skip
    told |= {f"{name}_s": _middle([r[name] for r in rounds]) for name in rounds[0]}
    pairs = {
        "new_day_share": ("new_day", "full"), "full_to_bare": ("full", "bare"),
        "dbt_full_to_ours": ("dbt_full", "full"), "dbt_new_day_to_ours": ("dbt_new_day", "new_day"),
    }  # fmt: skip
    return told | {
        name: _middle([r[a] / r[b] for r in rounds])
        for name, (a, b) in pairs.items()
        if a in rounds[0] and b in rounds[0]
    }


def _middle(seconds: list[float]) -> float:
    return round(statistics.median(seconds), 3)


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--fans", type=int, default=0, help="default: a hundredth of the events")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dbt", help="a Python that has dbt-duckdb")
    parser.add_argument("--memory", help="what the engine may use, as 3GiB")
    parser.add_argument("--alone", action="store_true", help="only ours")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print(json.dumps(measure(arguments, Path(home))))


if __name__ == "__main__":
    main()
