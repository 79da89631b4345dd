"""A backtest of one automation over 90 days: seconds, memory, and the bare engine's time for facts.

The events lie in a lake (DuckLake, Parquet files), the operational tables in memory. Bare: DuckDB
alone computes the same facts for the same trigger events from the same files and counts those for
which the condition holds; it plans nothing, renders nothing and asks no gate. Interleaved rounds;
prints one JSON line. The peak is that of the whole process, the making of the data left out.

    python benchmarks/backtest.py [--events 10000000] [--fans 1000000] [--rounds 3]
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from duckdb import DuckDBPyConnection

from huntaze_pipeline.rehearsal import backtest, meaning
from huntaze_pipeline.rehearsal.past import Past, Tables
from huntaze_pipeline.rulebook.live import LiveAutomation
from huntaze_pipeline.rulebook.policies import Policies, load_policies
from huntaze_pipeline.rulebook.schema import Automation
from huntaze_pipeline.settings import load
from huntaze_pipeline.warehouse import lake

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 90
CREATORS = 10
RULE = Automation.model_validate(
    {
        "name": "Good customers",
        "trigger": {"event": "purchase"},
        "conditions": "event.value >= 35 and fan.lifetime_spend > 150 and fan.purchases >= 4",
        "entry": {"every": "30d"},
        "actions": [
            {"content": "Thank you, {{ fan.first_name or 'you' }}: {{ fan.purchases | int }}!"},
            {"content": "Is it good?", "delay": "3d",
             "conditions": "days_since(fan.last_purchase_at) > 2"},
        ],
    }
)  # fmt: skip
_EVENTS = """
insert into lake.raw.events by name
select 'creator-' || (fan % {creators}) as creator_id, 'e' || i as event_id,
       case when h % 100 < 15 then 'purchase' when h % 100 < 20 then 'tip'
            when h % 100 < 60 then 'viewed' when h % 100 < 85 then 'opened' else 'sent' end as name,
       'fan-' || fan as fan_id, 'onlyfans' as platform, 'm' || (hash(i, 7) % 3000000) as message_id,
       case when h % 100 < 20 then 1000000 + (h % 40000000)::bigint end as value_micros,
       case when h % 100 < 20 then 'USD' end as currency, told as occurred_at, told as received_at,
       '{{}}' as properties, 'api' as source, 1 as arrival
from (select i, hash(i) as h,
             (power((hash(i, 1) % 1000000) / 1e6, 2) * {fans})::bigint as fan,
             timestamptz '{start}' + to_microseconds((i * {step})::bigint) as told
      from range({events}) r(i))
"""
_TABLES = """
create schema ops;
create table ops.creators as
    select 'creator-' || i as id, 'Creator ' || i as name, 'Europe/Paris' as zone,
           'USD' as currency from range({creators}) r(i);
create table ops.accounts as
    select id as creator_id, id || '-of' as id, 'onlyfans' as platform, 'active' as status,
           null::int as limit_count, null::int as limit_window_s,
           timestamptz '{before}' as created_at
    from ops.creators;
create table ops.fans as
    select 'creator-' || (i % {creators}) as creator_id, 'fan-' || i as id, 'Fan ' || i as name,
           'Europe/Paris' as zone, 'en' as locale, null::date as birthday,
           null::timestamptz as subscribed_at, '{{}}' as attributes, '[]' as tags,
           timestamptz '{before}' as created_at
    from range({fans}) r(i);
create table ops.identities as
    select creator_id, id as fan_id, 'onlyfans' as platform, creator_id || '-of' as account_id,
           id as address, id as normalised, null::timestamptz as last_inbound_at from ops.fans;
create table ops.consents as
    select creator_id, id as fan_id, 'marketing' as topic, hash(id) % 10 > 0 as granted,
           timestamptz '{before}' as changed_at from ops.fans;
create table ops.suppressions (creator_id varchar, platform varchar, normalised varchar,
    reason varchar, created_at timestamptz);
create table ops.barred (platform varchar, normalised varchar, reason varchar,
    created_at timestamptz);
create table ops.campaigns (creator_id varchar, id varchar, name varchar, type varchar,
    template_id varchar, platforms varchar, start_at timestamptz);
create table ops.former (creator_id varchar, kind varchar, id varchar, body varchar,
    until timestamptz);
create table ops.members (creator_id varchar, segment_id varchar, fan_id varchar,
    entered_at timestamptz, left_at timestamptz);
create table ops.messages (creator_id varchar, id varchar, fan_id varchar, source varchar,
    source_id varchar, rule_hash varchar, topic varchar, state varchar, reason varchar,
    platform varchar, account_id varchar, content varchar, subject varchar,
    not_before timestamptz, decided_at timestamptz, sent_at timestamptz, ended_at timestamptz);
"""
_BARE = """
select count(*) from (
    select name, value_micros, occurred_at >= timestamptz '{start}' as inside,
           sum(value_micros) filter (where name in ('purchase', 'tip')) over past as spend,
           count(*) filter (where name = 'purchase') over past as purchases
    from lake.raw.events where name in ('purchase', 'tip')
    window past as (partition by creator_id, fan_id order by received_at, event_id)
) where name = 'purchase' and inside and value_micros >= 35000000 and spend > 150000000
    and purchases >= 4
"""


def made(con: DuckDBPyConnection, events: int, fans: int) -> None:
    """Make the lake's events and, in the lake's catalog file, the operational tables."""
    names = {
        "creators": CREATORS, "events": events, "fans": fans, "start": START.isoformat(),
        "step": DAYS * 86_400_000_000 / events,
        "before": (START - timedelta(days=30)).isoformat(),
    }  # fmt: skip
    con.execute(_EVENTS.format(**names))
    tables(con, fans)


def tables(con: DuckDBPyConnection, fans: int) -> None:
    """Make the operational tables in memory."""
    before = (START - timedelta(days=30)).isoformat()
    con.execute(_TABLES.format(creators=CREATORS, fans=fans, before=before))


def ours(con: DuckDBPyConnection, policies: Policies) -> dict[str, object]:
    """Run the backtest with everything that is told of it."""
    creators = [f"creator-{n}" for n in range(CREATORS)]
    past = Past(con, creators, Tables("ops.", live=False))
    rules = [LiveAutomation(name, "good_customers", RULE, "hash", {}) for name in creators]
    with backtest.uncollected():
        trial = backtest.automation(past, rules, policies, START, START + timedelta(days=DAYS))
        return meaning.summary(past, trial, "good_customers", policies)


def measured(folder: Path, fans: int, rounds: int) -> dict[str, object]:
    """Time both on data that is there, in this process, and take its peak."""
    took: dict[str, list[float]] = {"ours": [], "bare": []}
    report: dict[str, object] = {}
    policies = load_policies(load().rules_dir)
    with lake.private(folder) as con:
        con.execute("set threads = 2")
        con.execute("set memory_limit = '1200MiB'")
        con.execute(f"set temp_directory = '{folder}/spill'")
        tables(con, fans)
        for _ in range(rounds):
            started = time.perf_counter()
            report = ours(con, policies)
            took["ours"].append(time.perf_counter() - started)
            started = time.perf_counter()
            row = con.execute(_BARE.format(start=START.isoformat())).fetchone()
            took["bare"].append(time.perf_counter() - started)
            assert row == (report["matched"],), (row, report["matched"])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    middle = {name: statistics.median(times) for name, times in took.items()}
    names = ("matched", "entered", "messages")
    return {
        "ours_s": round(middle["ours"], 2), "bare_s": round(middle["bare"], 2),
        "ratio": round(middle["ours"] / middle["bare"], 2), "peak_mib": round(peak),
        "triggers": report["events"], **{name: report[name] for name in names},
    }  # fmt: skip


def main() -> None:
    """Make the data in one process, measure in another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--fans", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.folder:
        print(json.dumps(measured(given.folder, given.fans, given.rounds)))
        return
    with tempfile.TemporaryDirectory() as folder:
        with lake.private(Path(folder)) as con:
            made(con, given.events, given.fans)
        again = [sys.executable, __file__, "--folder", folder, "--fans", str(given.fans)]
        done = subprocess.run(
            [*again, "--rounds", str(given.rounds)], capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(done.stderr)
        line = {"events": given.events, "fans": given.fans, **json.loads(done.stdout)}
        print(json.dumps({"benchmark": "backtest", **line}))


if __name__ == "__main__":
    main()
