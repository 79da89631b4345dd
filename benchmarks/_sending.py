"""What the sender is measured in: servers, simulated platforms, accounts, senders as shipped."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import _tended
from sqlalchemy import insert, text

from huntaze_pipeline import settings
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.delivery.limiter import Limits
from huntaze_pipeline.local import stack
from huntaze_pipeline.local.simulator import process as simulator
from huntaze_pipeline.local.simulator.judge import fullest
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.people import Account, Consent, Creator, Fan, Identity
from huntaze_pipeline.store.session import Store

_DECIDE = text("""
    insert into messages (creator_id, id, source, source_id, rule_hash, fan_id, step, occurrence,
        platform, account_id, address, content, priority, topic, state, not_before,
        idempotency_key, decided_at)
    select 'bench', cast(:name as text) || '-' || n, 'automation', :name, 'h',
        'fan-' || n % cast(:accounts as int), 0, n::text, 'onlyfans',
        'account-' || n % cast(:accounts as int), 'account-' || n % cast(:accounts as int), 'Hello',
        cast(:priority as text), 'marketing', 'decided', now(), cast(:name as text) || '-' || n,
        now()
    from generate_series(cast(:first as int), cast(:last as int)) n
""")


@dataclass
class World:
    """Servers, the simulated platforms, and as many accounts as a scenario asks for."""

    settings: Settings
    store: Store
    home: Path

    @property
    def log(self) -> Path:
        """Where the platform notes what arrives."""
        return self.home / "platform" / "arrivals.jsonl"

    def accounts(self, count: int, limits: Limits) -> None:
        """Make a creator with accounts of these limits and one fan who agreed."""
        own = {"limit_count": limits.count, "limit_window_s": limits.window_s}
        people, now = {"creator_id": "bench"}, system_clock()
        with self.store.worker() as c:
            c.execute(insert(Creator).values(id="bench", name="Bench", zone="UTC"))
            rows = [{"id": f"account-{n}", "handle": f"a{n}"} | own for n in range(count)]
            c.execute(insert(Account), [people | {"platform": "onlyfans"} | row for row in rows])
            fans = [{"fan_id": f"fan-{n}"} for n in range(count)]
            named = [people | {"id": f["fan_id"], "name": "Fan", "zone": "UTC"} for f in fans]
            c.execute(insert(Fan), named)
            where = [
                {"account_id": r["id"], "address": r["id"], "normalised": r["id"]} for r in rows
            ]
            known = people | {"platform": "onlyfans"}
            c.execute(insert(Identity), [known | f | w for f, w in zip(fans, where, strict=True)])
            agreed = {"topic": "marketing", "granted": True, "source": "bench", "changed_at": now}
            c.execute(insert(Consent), [people | f | agreed for f in fans])

    def decide(
        self, name: str, first: int, last: int, accounts: int, priority: str = "medium"
    ) -> None:
        """Put messages in the outbox, spread over accounts in turn."""
        names = {"name": name, "first": first, "last": last - 1, "accounts": accounts}
        with self.store.worker() as c:
            c.execute(_DECIDE, names | {"priority": priority})

    def arrivals(self) -> list[dict[str, Any]]:
        """Read what the platform saw so far."""
        if not self.log.exists():
            return []
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def wait(self, count: int, patience_s: float) -> list[dict[str, Any]]:
        """Return the arrivals once there are so many."""
        until = time.monotonic() + patience_s
        while time.monotonic() < until:
            if self.log.exists() and self.log.read_bytes().count(b"\n") >= count:
                return self.arrivals()
            time.sleep(0.25)
        raise SystemExit(f"{len(self.arrivals())} of {count} messages after {patience_s:g} s")


@contextlib.contextmanager
def world(count: int, limits: Limits, median_s: float = 0.02) -> Iterator[World]:
    """Start everything but senders; the platform bans whoever is faster than `limits`."""
    conduct = {
        "limit": {"count": limits.count, "window_s": limits.window_s},
        "faults": {"median_s": median_s, "tail_share": 0.01, "tail_s": 0.3},
    }
    needed = ("postgres", "redis", "sqs")
    with (
        tempfile.TemporaryDirectory() as home,
        stack.services(settings.load(), needed, home=Path(home), throwaway=True) as ready,
        simulator.running(
            Path(home) / "platform", behaviour={"platforms": {"*": conduct}}
        ) as addresses,
    ):
        ready = simulator.pointed(ready, addresses).model_copy(
            update={"limiter_enabled": True, "rollout_percentage": 100}
        )
        store = Store(ready)
        _tended.upgrade(store)
        made = World(ready, store, Path(home))
        made.accounts(count, limits)
        yield made
        store.engine.dispose()


@contextlib.contextmanager
def senders(made: World, count: int = 2, concurrency: int = 400) -> Iterator[list[int]]:
    """Run senders as shipped; yields their process ids. The first one relays too."""
    command = [sys.executable, "-m", "huntaze_pipeline.cli", "sender"]
    command += ["--concurrency", str(concurrency)]
    env = stack.environment(made.settings)
    running = [
        subprocess.Popen(
            command + (["--with-relay"] if n == 0 else []), env=env, stdout=subprocess.DEVNULL
        )
        for n in range(count)
    ]
    try:
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(40)


def busiest(arrivals: Sequence[dict[str, Any]], window_s: float) -> int:
    """Return the most arrivals of one account in any rolling window."""
    times: dict[str, list[float]] = defaultdict(list)
    for arrival in arrivals:
        times[arrival["account"]].append(arrival["t"])
    return max((fullest(own, window_s) for own in times.values()), default=0)


def span(arrivals: Sequence[dict[str, Any]]) -> float:
    """Return the seconds from the first arrival to the last."""
    return arrivals[-1]["t"] - arrivals[0]["t"]


def instant(arrival: dict[str, Any]) -> float:
    """Return when it arrived, by the clock."""
    return datetime.fromisoformat(arrival["at"]).timestamp()
