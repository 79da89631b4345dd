"""Conditions of many automations over many events, against rule engines that go row by row.

    python benchmarks/conditions.py [--events 1000000] [--rules 100] [--batch 500] [--rivals PYTHON]

Each of the rules has a condition on event and fan. Ours is what live does (`matching.answers`), in
batches (`--batch`) of a tick's size: tables are made from the frames of a batch, all rules are
asked by the compiled SQL, and each event gets the set of the rules that hold.
Rivals (`--rivals`: an interpreter that has zen-engine, common-expression-language and
rule-engine) evaluate the same conditions, compiled beforehand, over dicts that are made beforehand
too, for a sample of the events; their time is scaled to all of them. All must find the same hits on
the sample. Interleaved rounds, the median counts; seconds of wall clock; prints one JSON line.
"""

import argparse
import json
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.rulebook import facts, matching, people, prepared, relations
from huntaze_pipeline.rulebook.question import holds

START = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLE = 500
RIVALS = {"zen-engine": 40, "common-expression-language": 100, "rule-engine": 200}
"""How many times as fast we want to be."""
_RIVAL = """
import json, sys, time
name, place = sys.argv[1:]
told = json.load(open(place))
rows, texts = told["rows"], told["rules"][name]
if name == "zen-engine":
    import zen
    rules = [zen.compile_expression(text).evaluate for text in texts]
elif name == "common-expression-language":
    import cel
    rules = [cel.compile(text).execute for text in texts]
else:
    import rule_engine
    around = rule_engine.Context(resolver=rule_engine.resolve_item)
    rules = [rule_engine.Rule(text, context=around).matches for text in texts]
begun = time.perf_counter()
hits = sum(1 for row in rows for rule in rules if rule(row))
print(json.dumps([time.perf_counter() - begun, hits]))
"""


def rules(count: int) -> list[list[str]]:
    """Return conditions as ours, zen and rule-engine, and CEL write them."""
    found = []
    for i in range(count):
        a, b, c = 40 + i % 9, 900 + i % 90, i % 7
        shapes = [
            (f"event.value >= {a}.5 and fan.lifetime_spend > {b}.0",) * 3,
            (
                f"event.platform = 'tiktok' and fan.purchases >= {20 + c}.0",
                f'event.platform == "tiktok" and fan.purchases >= {20 + c}.0',
                f'event.platform == "tiktok" && fan.purchases >= {20 + c}.0',
            ),
            (
                f"fan.locale in ('es', 'it') and event.value < {c}.5",
                f'fan.locale in ["es", "it"] and event.value < {c}.5',
                f'fan.locale in ["es", "it"] && event.value < {c}.5',
            ),
            (
                f"(fan.tips > {25 + c}.0 or fan.messages_opened >= {30 + c}.0)"
                " and event.value > 30.0",
            )
            * 3,
            (
                f"event.name = 'tip' and not (fan.purchases < {22 + c}.0)",
                f'event.name == "tip" and not (fan.purchases < {22 + c}.0)',
                f'event.name == "tip" && !(fan.purchases < {22 + c}.0)',
            ),
        ]  # fmt: skip
        ours, theirs, cel = shapes[i % len(shapes)]
        cel = cel.replace(" and ", " && ").replace(" or ", " || ")
        found.append([ours, theirs, cel])
    return found


def world(events: int, fans: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the frames that a tick would read."""
    dice = random.Random(7)
    owners = [f"f{dice.randrange(fans)}" for _ in range(events)]
    batch = pl.DataFrame(
        {
            "position": range(events), "creator_id": ["maya"] * events,
            "event_id": [f"e{i}" for i in range(events)],
            "name": [dice.choice(("purchase", "tip", "viewed")) for _ in range(events)],
            "fan_id": owners,
            "platform": [dice.choice(("onlyfans", "email", "tiktok")) for _ in range(events)],
            "value_micros": [dice.randrange(50_000_000) for _ in range(events)],
            "occurred_at": [START + timedelta(seconds=i) for i in range(events)],
            "properties": ["{}"] * events,
        }
    ).cast({"occurred_at": people.EVENTS["occurred_at"]})  # fmt: skip
    lacking = people.EVENTS.keys() - {*batch.columns}
    batch = batch.with_columns(
        *(pl.lit(None, dtype=people.EVENTS[name]).alias(name) for name in sorted(lacking)),
        moment=pl.col("occurred_at"),
    )
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        state = con.execute(facts.state(f"({_PAST.format(fans=fans)})")).pl()
    rows = {"creator_id": ["maya"] * fans, "fan_id": [f"f{i}" for i in range(fans)]}
    profile = pl.DataFrame(rows).with_columns(
        locale=pl.Series([dice.choice(("en", "fr", "es", "it", "de")) for _ in range(fans)])
    )
    lacking = people.PROFILES.keys() - {*profile.columns}
    profile = profile.with_columns(pl.lit(None, dtype=people.PROFILES[n]).alias(n) for n in lacking)
    return batch, profile.join(state, on=["creator_id", "fan_id"], how="left")


_PAST = """
    select 'maya' as creator_id, 'f' || (hash(i) % {fans}) as fan_id,
           ['purchase', 'tip', 'opened'][1 + (hash(i, 1) % 3)::bigint] as name,
           (hash(i, 2) % 40000000)::bigint as value_micros,
           timestamptz '2025-06-01 00:00:00+00' + to_seconds(i::bigint) as occurred_at,
           'm' || i as message_id, null::varchar as campaign_id
    from range({fans} * 60) r(i)
"""


def ours(
    events: pl.DataFrame, fans: pl.DataFrame, texts: Sequence[str], batch: int
) -> tuple[float, list[int]]:
    """Return the seconds for all rules and all events, and how many rules held for each event."""
    parts = [(part, _about(part, fans)) for part in events.iter_slices(batch)]
    begun = time.perf_counter()
    questions = {str(i): holds(text) for i, text in enumerate(texts)}
    found: list[int] = []
    for part, known in parts:
        hits = matching.answers(part, known, questions).hits
        found += [len(hits.get(position, ())) for position in part["position"].to_list()]
    return time.perf_counter() - begun, found


def _about(part: pl.DataFrame, fans: pl.DataFrame) -> pl.DataFrame:
    """Return the fans of a batch, as a tick reads them."""
    return fans.join(
        part.select("creator_id", "fan_id").unique(), on=["creator_id", "fan_id"], how="semi"
    )


def rows(events: pl.DataFrame, fans: pl.DataFrame, count: int) -> list[dict[str, Any]]:
    """Return the first events as the dicts that rivals read, facts as of each event included."""
    wanted = relations.Wanted(frozenset(), many=True)
    known = relations.fans(prepared.Bench(), events, fans, range(count), wanted)
    about = ("locale", "lifetime_spend", "purchases", "tips", "messages_opened")
    return [
        {
            "event": {
                "name": row["name"], "platform": row["platform"],
                "value": row["value_micros"] / 1_000_000,
            },
            "fan": {name: known[row["position"]][name] for name in about},
        }
        for row in events.head(count).iter_rows(named=True)
    ]  # fmt: skip


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--fans", type=int, default=100_000)
    parser.add_argument("--rules", type=int, default=100)
    parser.add_argument("--batch", type=int, default=ticks.BATCH)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rivals", help="a Python that has the rivals")
    asked = parser.parse_args()
    texts = rules(asked.rules)
    events, fans = world(asked.events, asked.fans)
    sample = min(SAMPLE, asked.events)
    told = {
        "rows": rows(events, fans, sample),
        "rules": {
            "zen-engine": [t[1] for t in texts],
            "common-expression-language": [t[2] for t in texts],
            "rule-engine": [t[1] for t in texts],
        },
    }  # fmt: skip
    found: list[int] = []
    mine: list[float] = []
    theirs: dict[str, list[float]] = {name: [] for name in RIVALS} if asked.rivals else {}
    agreed = True
    with tempfile.TemporaryDirectory() as home:
        place = Path(home) / "told.json"
        place.write_text(json.dumps(told))
        for _ in range(asked.rounds):
            took, found = ours(events, fans, [t[0] for t in texts], asked.batch)
            mine.append(took)
            hits = sum(found[:sample])
            for name, times in theirs.items():
                command = [asked.rivals, "-c", _RIVAL, name, str(place)]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                seconds, counted = json.loads(out)
                times.append(seconds * asked.events / sample)
                agreed = agreed and counted == hits
    middle = statistics.median(mine)
    print(
        json.dumps(
            {
                "benchmark": "conditions", "events": asked.events, "rules": asked.rules,
                "batch": asked.batch, "hits": sum(found), "ours_s": round(middle, 3),
                "sample": sample, "same_hits": agreed,
                "rivals_s_scaled": {n: round(statistics.median(t), 1) for n, t in theirs.items()},
                "ratios": {n: round(statistics.median(t) / middle, 1) for n, t in theirs.items()},
                "marks": RIVALS,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
