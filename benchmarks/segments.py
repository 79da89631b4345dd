"""Refreshing segments: everybody, against the bare query of the same booleans, and after a change.

Bare: one DuckDB query over the same table of facts that makes a table of the booleans, on the same
connection. Full: ours with everybody asked: booleans, the next instant of each fan, the comparison
with where everybody stood, members and history in PostgreSQL. Change: a share of the fans has new
facts and an hour has passed, then the refresh asks whom it must; its result is compared with a full
one, which asks everybody and, coming after it, has nothing to write. First: the very first refresh,
a rebuild from nothing, which also writes every member into PostgreSQL. So `changed_by_first` is the
share of a rebuild that a change costs, both with the members that they write; `changed_by_full` is
the share of asking everybody where nothing is left to write, which no change that writes can come
near. Interleaved rounds on real services; prints one JSON line. The facts themselves are made by
`models build`, see `benchmarks/build.py`.
"""

import argparse
import json
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import _tended
from duckdb import DuckDBPyConnection
from sqlalchemy import text

from huntaze_pipeline import settings
from huntaze_pipeline.audience import segments
from huntaze_pipeline.local import stack
from huntaze_pipeline.rulebook import selection
from huntaze_pipeline.rulebook.live import LiveSegment
from huntaze_pipeline.rulebook.schema import Segment
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CREATORS = 10
_TIMES = {
    "last_purchase_at": 200,
    "last_active_at": 100,
    "subscribed_at": 400,
    "last_opened_at": 60,
}
_NUMBERS = {"lifetime_spend": 10_000, "purchases": 60, "messages_opened": 100, "tips": 10}


def conditions(count: int) -> list[str]:
    """Return conditions as people write them; each holds for 1 to 20 % of the fans, or so."""
    pick = random.Random(7)
    found = []
    for n in range(count):
        time_, number = pick.choice(list(_TIMES)), pick.choice(list(_NUMBERS))
        days, most = _TIMES[time_], _NUMBERS[number]
        rich = f"fan.{number} >= {round(most * pick.uniform(0.8, 0.97))}"
        recent = f"days_since(fan.{time_}) <= {pick.randint(1, max(2, days // 8))}"
        low = pick.randint(1, days // 2)
        window = f"days_since(fan.{time_}) between {low} and {low + days // 5}"
        found.append([rich, recent, f"{rich} and {window}", f"{window} and not ({rich})"][n % 4])
    return found


def prepared(ready: settings.Settings) -> settings.Settings:
    """Make the operational tables, empty."""
    store = Store(ready, pooled=False)
    _tended.upgrade(store)
    store.engine.dispose()
    return ready


def facts(con: DuckDBPyConnection, fans: int) -> None:
    """Make the table of facts."""
    times = ", ".join(
        f"timestamptz '{NOW}' - to_seconds((hash(i, '{name}') % {days * 86400})::bigint) as {name}"
        for name, days in _TIMES.items()
    )
    numbers = ", ".join(f"hash(i, '{n}') % {most} as {n}" for n, most in _NUMBERS.items())
    con.execute(
        f"create or replace table lake.marts.fan_facts as select 'creator-' || (i % {CREATORS})"
        f" as creator_id, 'fan-' || i as fan_id, {times}, {numbers} from range({fans}) r(i)"
    )


def change(con: DuckDBPyConnection, share: float, at: datetime, round_: int) -> int:
    """Let a share of the fans buy and look; return how many they are."""
    where = f"hash(fan_id, {round_}) % 1000000 < {int(share * 1_000_000)}"
    sets = (
        f"last_active_at = timestamptz '{at}', last_purchase_at = timestamptz '{at}',"
        " purchases = purchases + 1, lifetime_spend = lifetime_spend + 20"
    )
    row = con.execute(f"update lake.marts.fan_facts set {sets} where {where}").fetchone()
    return int(row[0]) if row else 0


class Bench:
    """A store, a lake and the segments."""

    def __init__(self, store: Store, con: DuckDBPyConnection, count: int) -> None:
        self.store, self.con = store, con
        rules = [Segment.model_validate({"name": "x", "where": w}) for w in conditions(count)]
        self.live = [
            LiveSegment(f"creator-{c}", f"segment-{i}", rule)
            for c in range(CREATORS)
            for i, rule in enumerate(rules)
        ]

    def prepare(self) -> None:
        """Make creators and segments."""
        with self.store.worker() as c:
            names = [{"id": f"creator-{n}"} for n in range(CREATORS)]
            c.execute(text("insert into creators (id, name) values (:id, :id)"), names)
            rows = [{"c": s.creator_id, "s": s.id} for s in self.live]
            insert = "insert into segments (creator_id, id, name, criteria, rule_hash)"
            c.execute(text(f"{insert} values (:c, :s, :s, '{{}}', '')"), rows)

    def refresh(self, now: datetime, *, whole: bool = False) -> segments.Refreshed:
        """Refresh, from compiling the rules to remembering where everybody stands."""
        wanted = selection.selections(self.live, now)
        with self.store.worker() as c:
            done = segments.refresh(c, self.con, wanted, now, whole=whole)
        done.settle(self.con)
        return done

    def bare(self, now: datetime) -> None:
        """Compute the same booleans with nothing around them."""
        wanted = selection.selections(self.live[: len(self.live) // CREATORS], now)
        columns = ", ".join(f"{s.predicate} as b{i}" for i, s in enumerate(wanted))
        self.con.execute(
            f"create or replace temp table bare as select creator_id, fan_id, {columns}"
            " from lake.marts.fan_facts as fan"
        )

    def members(self) -> int:
        """Count the members."""
        with self.store.worker() as c:
            return c.execute(
                text("select count(*) from members where left_at is null")
            ).scalar_one()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds by the clock and by this process's processors."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    started = time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, used


def measure(bench: Bench, rounds: int, share: float) -> dict[str, object]:
    """Run the rounds."""
    now = NOW
    first = timed(lambda: bench.refresh(now))
    figures: dict[str, list[tuple[float, float]]] = {"bare": [], "full": [], "changed": []}
    asked, same = [], True
    for round_ in range(rounds):
        now += timedelta(hours=1)
        touched = change(bench.con, share, now, round_)
        found: list[segments.Refreshed] = []
        figures["changed"].append(timed(lambda at=now: found.append(bench.refresh(at))))  # noqa: B023
        asked.append(
            (touched, found[0].asked, sum(len(d.came) + len(d.went) for d in found[0].deltas))
        )
        figures["bare"].append(timed(lambda at=now: bench.bare(at)))
        figures["full"].append(timed(lambda at=now: found.append(bench.refresh(at, whole=True))))  # noqa: B023
        same = same and not any(len(d.came) or len(d.went) for d in found[1].deltas)
    middle = {
        name: [round(statistics.median(part), 3) for part in zip(*times, strict=True)]
        for name, times in figures.items()
    }
    return {
        "first_s": round(first[0], 2),
        "members": bench.members(),
        **{f"{name}_s": wall for name, (wall, _) in middle.items()},
        **{f"{name}_cpu_s": cpu for name, (_, cpu) in middle.items()},
        "full_by_bare": round(middle["full"][0] / middle["bare"][0], 3),
        "full_by_bare_cpu": round(middle["full"][1] / middle["bare"][1], 3),
        "changed_by_first": round(middle["changed"][0] / first[0], 4),
        "changed_by_full": round(middle["changed"][0] / middle["full"][0], 4),
        "changed_by_full_cpu": round(middle["changed"][1] / middle["full"][1], 4),
        "touched_asked_moved": asked,
        "same_result": same,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fans", type=int, default=1_000_000)
    parser.add_argument("--segments", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.01, help="Fans with new facts each round.")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        stack.services(
            settings.load(), need=("postgres",), home=Path(folder), throwaway=True
        ) as ready,
        lake.connect(prepared(ready)) as con,
    ):
        store = Store(ready)
        facts(con, given.fans)
        bench = Bench(store, con, given.segments)
        bench.prepare()
        found = measure(bench, given.rounds, given.share)
        store.engine.dispose()
    print(json.dumps({"fans": given.fans, "segments": given.segments, **found}))


if __name__ == "__main__":
    main()
