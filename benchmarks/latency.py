"""Live latency: event accepted -> message in the outbox, and how fast an outage is made up.

One creator with 100 automations over fan and event, fans with a history in the lake, events at a
fixed rate committed ten at a time by another process. The time of a message is when its row can be
seen by a third party that looks every 10 ms. `--dagster` lets `dagster dev` as shipped do the work;
without it the same tick runs in this process. `--outage N` lets N events wait beforehand and tells
how long they took, the memory of this process by then and the longest tick. Prints one JSON line.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import _tended
import psycopg
from sqlalchemy import text

from huntaze_pipeline import settings
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.local import instance, stack
from huntaze_pipeline.orchestration import ticks
from huntaze_pipeline.orchestration.shift import Job, Shifts, Tell, Work
from huntaze_pipeline.rulebook.policies import load_policies
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store import checkpoints
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse import lake as lakes

NAMES = ("opened", "clicked", "purchase", "tip", "viewed", "replied")
TOGETHER = 10
"""Events of one commit."""
WARM = 1_000
"""Events that are read before anything is measured: a system that is live has read some."""


def conditions(number: int) -> str:
    """Return a condition on fan and event that a few events in a thousand meet."""
    return (
        f"fan.lifetime_spend > {20 + number} and days_since(fan.last_active_at) < {1 + number % 9}"
        f" and event.properties.bucket = '{number}' and fan.purchases >= {number % 4}"
    )


def world(store: Store, fans: int, automations: int) -> None:
    """Make a creator, its fans and its rules."""
    with store.worker() as connection:
        for statement in (
            "insert into creators (id, name, zone) values ('c', 'C', 'Europe/Paris')",
            "insert into accounts (creator_id, id, platform, handle)"
            " values ('c', 'a', 'onlyfans', 'c')",
            "insert into fans (creator_id, id, name, zone) select 'c', 'f' || n, 'Fan ' || n,"
            f" 'Europe/Paris' from generate_series(1, {fans}) n",
            "insert into identities (creator_id, fan_id, platform, account_id, address,"
            f" normalised) select 'c', 'f' || n, 'onlyfans', 'a', 'f' || n, 'f' || n"
            f" from generate_series(1, {fans}) n",
            "insert into consents (creator_id, fan_id, topic, granted, source, changed_at)"
            " select 'c', 'f' || n, 'marketing', true, 'x', now()"
            f" from generate_series(1, {fans}) n",
        ):
            connection.execute(text(statement))
        for number in range(automations):
            row = {
                "id": f"a{number}",
                "trigger": json.dumps({"event": NAMES[number % len(NAMES)]}),
                "conditions": json.dumps({"expression": conditions(number)}),
                "actions": json.dumps([{"content": "Hi {{ fan.first_name or 'you' }}"}]),
            }
            connection.execute(
                text(
                    "insert into automations (creator_id, id, name, trigger, conditions, actions,"
                    " rule_hash) values ('c', :id, :id, cast(:trigger as jsonb),"
                    " cast(:conditions as jsonb), cast(:actions as jsonb), :id)"
                ),
                row,
            )


def past(ready: Settings, fans: int, history: int) -> None:
    """Give the fans a history in the lake."""
    with lakes.connect(ready) as lake:
        lake.execute(
            "insert into lake.raw.events by name select 'c' as creator_id, 'h' || n as event_id,"
            " ['opened', 'clicked', 'purchase', 'tip', 'viewed', 'replied'][1 + n % 6] as name,"
            f" 'f' || (1 + (n * 7919) % {fans}) as fan_id, 'onlyfans' as platform,"
            " case when n % 6 in (2, 3) then 20000000 end as value_micros,"
            " case when n % 6 in (2, 3) then 'USD' end as currency,"
            " now() - to_seconds(n % 15552000) as occurred_at, now() as received_at,"
            " '{}' as properties, 'import:x' as source, 1 as arrival"
            f" from range({history}) t(n)"
        )


def made(number: int, fans: int, at: datetime) -> Event:
    """Return the event with this number."""
    name = NAMES[number % len(NAMES)]
    money = name in ("purchase", "tip")
    return Event(
        creator_id="c", event_id=f"e{number}", name=name,
        fan_id=f"f{random.Random(number).randint(1, fans)}", occurred_at=at, source="api",
        platform="onlyfans", value_micros=5_000_000 if money else None,
        currency="USD" if money else None, properties={"bucket": str(number // 6 % 100)},
    )  # fmt: skip


def produce(environment: dict[str, str], rate: int, seconds: float, fans: int, path: str) -> None:
    """Commit events at a fixed rate and note when each was accepted."""
    store = Store(settings.load(**environment))
    accepted: dict[str, float] = {}
    started, number = time.perf_counter(), 0
    while number < rate * seconds:
        ahead = number / rate - (time.perf_counter() - started)
        if ahead > 0:
            time.sleep(ahead)
        batch = [made(number + n, fans, datetime.now(UTC)) for n in range(TOGETHER)]
        with store.worker() as connection:
            inbox.append(connection, batch)
        accepted |= dict.fromkeys((event.event_id for event in batch), time.time())
        number += TOGETHER
    Path(path).write_text(json.dumps(accepted))


class Worker(threading.Thread):
    """The sensor's tick again and again, as Dagster's daemon does it, in this process."""

    def __init__(self, ready: Settings, store: Store) -> None:
        super().__init__(daemon=True)
        self.found, self.store = ready, store
        self.over = threading.Event()
        self.told: list[str] = []
        self.longest, self.rounds, self.events = 0.0, 0, 0

    def run(self) -> None:
        """Drain until told to stop."""
        policies, shifts = load_policies(self.found.rules_dir), Shifts()

        def work(lake: ticks.Lake, _: Tell) -> Work:
            ticks.count(self.store, lake)
            return lambda: ticks.react(self.store, lake, policies, system_clock())

        job = Job(lambda: lakes.connect(self.found), work)
        while not self.over.is_set():
            started = time.perf_counter()
            done = shifts.tick("events", job, self.told.append, linger=5.0, pause_s=0.05)
            self.longest = max(self.longest, time.perf_counter() - started)
            self.rounds, self.events = self.rounds + done.rounds, self.events + done.done
            self.over.wait(1)


def watch(ready: Settings, until: Any) -> dict[str, float]:
    """Return when each message could be seen first, by its event's id.

    The bare driver: who watches on two cores must not be a fifth of the load.
    """
    assert ready.database_url is not None
    seen, tx = dict[str, float](), 0
    query = "select occurrence, tx from messages where tx > %s"
    with psycopg.connect(ready.database_url.get_secret_value(), autocommit=True) as connection:
        connection.execute("set role huntaze_worker")
        while not until(seen):
            rows = connection.execute(query, [tx], prepare=True).fetchall()
            now = time.time()
            for occurrence, told in rows:
                seen.setdefault(occurrence, now)
                tx = max(tx, told)
            time.sleep(0.01)
    return seen


def place(store: Store) -> dict[str, int] | None:
    """Return how far the automations have read while something waits for them, else None."""
    with store.worker() as connection:
        waits = inbox.waits(connection, ticks.READER)
        return checkpoints.read(connection, ticks.READER) if waits else None


def percentile(values: list[float], share: float) -> float:
    """Return a percentile in seconds, rounded up to the millisecond."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] + 0.0005, 3)


def outage(store: Store, fans: int, count: int) -> None:
    """Let events wait as if nobody had read the inbox for an hour."""
    start = datetime.now(UTC) - timedelta(hours=1)
    for first in range(0, count, 5_000):
        batch = [
            made(10**9 + n, fans, start + timedelta(hours=n / count))
            for n in range(first, min(first + 5_000, count))
        ]
        with store.worker() as connection:
            inbox.append(connection, batch)


def shipped(ready: Settings) -> "subprocess.Popen[bytes]":
    """Start `dagster dev` as `huntaze up` does."""
    environment = os.environ | stack.environment(ready) | instance.prepare(ready)
    command = [sys.executable, "-m", "dagster", "dev", *instance.workspace(), "-p", "0"]
    log = (ready.root / "dagster.log").open("wb")
    return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def wait_for(store: Store, seconds: float = 90) -> None:
    """Wait until everything has been read, as long as somebody goes on reading."""
    before, end = None, time.monotonic() + seconds
    while (now := place(store)) is not None:
        if now != before:
            before, end = now, time.monotonic() + seconds
        if time.monotonic() > end:
            raise SystemExit("nobody reads the inbox")
        time.sleep(0.2)


def main() -> None:
    """Run and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--automations", type=int, default=100)
    parser.add_argument("--fans", type=int, default=20_000)
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--outage", type=int, default=0)
    parser.add_argument("--dagster", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o711)
        loaded = settings.load()
        services = ("postgres", "redis", "sqs") if given.dagster else ("postgres",)
        with stack.services(loaded, services, home=Path(home), throwaway=True) as ready:
            print(json.dumps(measured(ready, given)))


def measured(ready: Settings, given: argparse.Namespace) -> dict[str, Any]:
    """Make the world, run, and return the figures."""
    store = Store(ready)
    _tended.upgrade(store)
    world(store, given.fans, given.automations)
    past(ready, given.fans, given.history)
    result: dict[str, Any] = {"benchmark": "latency", **vars(given)}
    outage(store, given.fans, given.outage or WARM)
    process = shipped(ready) if given.dagster else None
    worker = None if given.dagster else Worker(ready, store)
    try:
        started = time.perf_counter()
        if worker:
            worker.start()
        wait_for(store)
        if given.outage:
            took = time.perf_counter() - started
            result |= {"outage_s": round(took, 1), "outage_a_second": round(given.outage / took)}
            result["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        result |= live(ready, store, given)
    finally:
        if worker:
            worker.over.set()
            worker.join()
            result["longest_tick_s"] = round(worker.longest, 2)
            result["events_a_round"] = round(worker.events / max(1, worker.rounds))
        if process:
            process.terminate()
            process.wait()
    return result


def live(ready: Settings, store: Store, given: argparse.Namespace) -> dict[str, Any]:
    """Produce at the rate and measure each message."""
    path = str(ready.root / "accepted.json")
    arguments = (stack.environment(ready), given.rate, given.seconds, given.fans, path)
    producer = multiprocessing.get_context("spawn").Process(target=produce, args=arguments)
    producer.start()
    over: list[float] = []

    def done(_: dict[str, float]) -> bool:
        if not producer.is_alive() and not over and place(store) is None:
            over.append(time.monotonic() + 0.5)
        return bool(over) and time.monotonic() > over[0]

    seen = watch(ready, done)
    producer.join()
    accepted = json.loads(Path(path).read_text())
    late = [seen[name] - at for name, at in accepted.items() if name in seen]
    return {
        "events": len(accepted), "messages": len(late),
        "p50_s": percentile(late, 0.5), "p95_s": percentile(late, 0.95),
        "max_s": percentile(late, 1.0),
    }  # fmt: skip


if __name__ == "__main__":
    main()
