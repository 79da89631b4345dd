"""The sender as the platform sees it, on PostgreSQL, Valkey and SQS, each scenario one JSON line.

`huntaze sender --with-relay` runs as shipped, in processes of its own; the platform is the
simulator, also a process of its own, and every figure but ETA is read from its log of arrivals.

    python benchmarks/sender.py [throughput] [makespan] [eta] [priority] [backlog] [--venv FOLDER]

throughput  limits out of reach; messages a second, processor time a message by program, SQS calls
            and receives a message. With `--venv` (made with pip when it is not there) Celery sends
            to the same platform through the same SQS, in turn with ours.
makespan    3,000 accounts x 30 messages at 10 per 60 s, against the bound: two whole windows,
            after as long as the machine needs for one round of every account.
eta         the estimate that the API gave for a message, against when the platform had it.
priority    a HIGH message of a quiet account while 100,000 LOW ones of others wait.
backlog     memory, claims and accepting a message with 10,000 and with a million waiting.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import _tended
from sqlalchemy import insert, text
from sqlalchemy.engine import make_url

from huntaze_pipeline import settings
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.delivery import epoch, messages, worker
from huntaze_pipeline.delivery.limiter import Limits, Permit, Settlement
from huntaze_pipeline.delivery.validation import Request
from huntaze_pipeline.local import stack
from huntaze_pipeline.local.simulator import process as simulator
from huntaze_pipeline.local.simulator.judge import fullest
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.people import Account, Consent, Creator, Fan, Identity
from huntaze_pipeline.store.session import Store, url

AMPLE = Limits(1_000, 60)
USUAL = Limits(10, 60)
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


def _instant(arrival: dict[str, Any]) -> float:
    return datetime.fromisoformat(arrival["at"]).timestamp()


def throughput(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send as fast as can be, and let Celery do the same in turn."""
    number, accounts, mine, theirs = arguments.messages, 1_000, [], []
    spent: dict[str, float] = defaultdict(float)
    with world(accounts, AMPLE) as made:
        seen = 2_000
        with Rival(arguments.venv, made) as rival, senders(made):
            made.decide("warm", 0, seen, accounts)
            made.wait(seen, 120)
            for turn in range(arguments.rounds):
                before = processors(made)
                made.decide(f"turn{turn}", 0, number, accounts)
                mine.append(number / span(made.wait(seen + number, 300)[seen:]))
                for name, seconds in processors(made).items():
                    spent[name] += seconds - before.get(name, 0)
                seen += number
                if rival.python is not None:
                    theirs.append(rival.run(arguments.rival_messages, seen))
                    seen += arguments.rival_messages
        calls = counted(made, number, accounts, seen + number)
    told: dict[str, Any] = {
        "messages": number, "per_second": round(statistics.median(mine)),
        "cpu_ms_per_message": {
            name: round(s * 1000 / number / len(mine), 3) for name, s in spent.items()
        },
    }  # fmt: skip
    if theirs:
        ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
        told["celery_per_second"] = round(statistics.median(theirs))
        told["ratio"] = round(statistics.median(ratios), 1)
    return told | calls


_PROGRAMS = {
    " sender": "sender", "local.simulator": "simulator", "postgres": "postgres", "valkey": "redis",
    "redis-server": "redis", "ministack": "sqs", "celery": "celery",
}  # fmt: skip


def processors(made: World) -> dict[str, float]:
    """Return the processor seconds spent by each program that was started by or for this one."""
    tick, found = os.sysconf("SC_CLK_TCK"), defaultdict[str, float](float)
    postgres = f"port={make_url(url(made.settings)).port}"
    ours = {str(os.getpid())}
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda entry: int(entry.name)):
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            here = (entry / "cwd").resolve().is_relative_to(made.home)
            if here or postgres in line or fields[1] in ours:
                ours.add(entry.name)
                name = next((name for mark, name in _PROGRAMS.items() if mark in line), "other")
                found[name] += sum(map(int, fields[11:15])) / tick
    return found


def counted(made: World, number: int, accounts: int, seen: int) -> dict[str, float]:
    """Let the work be done by a sender that counts its calls of SQS by a hook of botocore."""
    with tempfile.NamedTemporaryFile("r", suffix=".json") as out:
        command = [sys.executable, "-c", _COUNTING, out.name]
        env = stack.environment(made.settings)
        made.decide("counted", 0, number, accounts)
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
        found = json.load(out)
    made.wait(seen, 60)
    return {
        "sqs_calls_per_message": round(sum(found["calls"].values()) / number, 4),
        "receives_per_message": round(found["received"] / number, 3),
    }


_COUNTING = """
import collections, json, sys
import boto3
from huntaze_pipeline import settings
from huntaze_pipeline.delivery import queue, worker
from huntaze_pipeline.delivery.outfit import Options
calls, received = collections.Counter(), [0]
made = boto3.client
def client(*args, **kwargs):
    found = made(*args, **kwargs)
    found.meta.events.register("before-call.sqs", lambda model, **_: calls.update([model.name]))
    return found
boto3.client = client
decode = queue.decode
def counting(body):
    found = decode(body)
    received[0] += len(found)
    return found
import huntaze_pipeline.delivery.sqs as sqs
sqs.decode = counting
worker.send(settings.load(), Options(relay=True), until_idle=True)
json.dump({"calls": calls, "received": received[0]}, open(sys.argv[1], "w"))
"""


def makespan(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send three windows' worth of every account."""
    accounts, each = arguments.accounts, 30
    with world(accounts, USUAL) as made:
        made.decide("span", 0, accounts * each, accounts)
        with senders(made):
            found = made.wait(accounts * each, 600)
    firsts: dict[str, float] = {}
    lasts: dict[str, float] = {}
    for arrival in found:
        firsts.setdefault(arrival["account"], arrival["t"])
        lasts[arrival["account"]] = arrival["t"]
    bound = (each // USUAL.count - 1) * USUAL.window_s
    own = [(lasts[name] - firsts[name]) / bound for name in firsts]
    return {
        "accounts": accounts, "messages": len(found), "makespan_s": round(span(found), 2),
        "bound_s": bound, "over_bound": round(span(found) / bound, 4),
        "account_over_bound_median": round(statistics.median(own), 4),
        "account_over_bound_max": round(max(own), 4),
        "first_round_s": round(max(firsts.values()) - found[0]["t"], 2),
        "max_in_any_window": busiest(found, USUAL.window_s),
    }  # fmt: skip


def eta(arguments: argparse.Namespace) -> dict[str, Any]:
    """Submit messages one by one as the API does, and compare their estimates with arrivals."""
    limits, number = Limits(10, 20), 600
    told: dict[str, float] = {}
    with world(21, limits) as made, senders(made, 1):
        made.decide("warm", 20, 21, 21)
        made.wait(1, 120)  # the sender has started
        for n in range(number):
            now = system_clock()
            request = Request(recipient=f"fan-{n % 20}", content=f"Hello {n}", key=f"eta-{n}")
            found = messages.submit(
                made.store, "bench", request, now=now, standard=lambda _: limits
            )
            assert found.estimated_delivery is not None
            told[found.message_id] = found.estimated_delivery.timestamp()
            time.sleep(0.02)
        arrived = made.wait(number + 1, 300)[1:]
    errors = sorted(abs(_instant(a) - told[a["message"]]) for a in arrived)
    return {
        "messages": number, "limit": "10 in 20 s",
        "error_p50_s": round(errors[number // 2], 2),
        "error_p99_s": round(errors[int(number * 0.99)], 2),
    }  # fmt: skip


def priority(arguments: argparse.Namespace) -> dict[str, Any]:
    """Ask for one HIGH message of a quiet account every few seconds, behind a hundred thousand."""
    waits = []
    with world(1_001, USUAL) as made:
        made.decide("low", 0, 100_000, 1_000, "low")
        with senders(made):
            made.wait(2_000, 120)
            for n in range(8):
                before, asked = made.log.stat().st_size, time.time()
                made.decide("high", 1_000 + 1_001 * n, 1_001 + 1_001 * n, 1_001, "high")
                waits.append(_arrived(made, f"high-{1_000 + 1_001 * n}", before) - asked)
                time.sleep(1)
    return {
        "low_waiting": 100_000, "high_wait_median_s": round(statistics.median(waits), 2),
        "high_wait_max_s": round(max(waits), 2),
    }  # fmt: skip


def _arrived(made: World, message: str, after: int) -> float:
    """Look for a message in what came after a place of the log; all of it would be work for two."""
    until, rest = time.monotonic() + 60, ""
    with made.log.open() as log:
        log.seek(after)
        while time.monotonic() < until:
            *lines, rest = (rest + log.read()).split("\n")
            for arrival in map(json.loads, lines):
                if arrival["message"] == message:
                    return _instant(arrival)
            time.sleep(0.1)
    raise SystemExit(f"{message} did not arrive in a minute")


def backlog(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure claims, the API's way in and a sender's memory under two backlogs."""
    told: dict[str, Any] = {}
    small, large = 10_000, arguments.backlog
    for size in (small, large):
        accounts = 10_000
        with world(accounts, USUAL) as made:
            _parked(made, size, accounts)
            told[f"claim_ms_{size}"] = _claims(made)
            told[f"accept_ms_{size}"] = _accepts(made)
            with senders(made, 1) as (pid,):
                made.wait(3_000, 300)
                told[f"sender_mib_{size}"] = _peak(pid)
    return told | {
        "claim_ratio": round(told[f"claim_ms_{large}"] / told[f"claim_ms_{small}"], 2),
        "accept_ratio": round(told[f"accept_ms_{large}"] / told[f"accept_ms_{small}"], 2),
    }


def _parked(made: World, size: int, accounts: int) -> None:
    """Put a backlog in the books as queued, and on the account queues, as the relay leaves it."""
    for first in range(0, size, 100_000):
        made.decide("back", first, min(size, first + 100_000), accounts)
    with made.store.worker() as c:
        c.execute(text("update messages set state = 'queued', queued_at = now()"))
    with made.store.owner() as c:
        c.execute(text("analyze messages"))
    parts = worker.parts(made.settings, platforms={}, out=None)
    epoch.adopt(made.store, parts.limiter.redis, parts.directory, lease_s=30)
    epoch.repark(made.store, parts.limiter.redis, parts.directory)
    worker.close(parts)


def _claims(made: World) -> float:
    """Return the median milliseconds of a claim of 100; its permits are given back."""
    parts = worker.parts(made.settings, platforms={}, out=None)
    epoch.adopt(made.store, parts.limiter.redis, parts.directory, lease_s=30)
    taken = []
    for _ in range(30):
        started = time.perf_counter()
        grants = parts.limiter.claim(100, lease_s=30).grants
        taken.append(time.perf_counter() - started)
        parts.limiter.commit([Settlement(g, Permit.UNUSED, requeue_s=0) for g in grants])
    worker.close(parts)
    return round(statistics.median(taken) * 1000, 2)


def _accepts(made: World) -> float:
    """Return the median milliseconds of accepting a message."""
    taken = []
    for n in range(60):
        started = time.perf_counter()
        request = Request(recipient=f"fan-{n}", content=f"Hi {n}")
        messages.submit(made.store, "bench", request, now=system_clock())
        taken.append(time.perf_counter() - started)
    return round(statistics.median(taken) * 1000, 2)


def _peak(pid: int) -> int:
    """Return the most memory that a process had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


_CELERY = """
import os, urllib.request, json
from celery import Celery
app = Celery("rival", broker="sqs://local:local@" + os.environ["SQS_HOST"])
app.conf.update(
    broker_transport_options={
        "region": "us-east-1", "is_secure": False, "polling_interval": 0.0, "wait_time_seconds": 1,
        "predefined_queues": {"celery": {"url": os.environ["SQS_URL"],
            "access_key_id": "local", "secret_access_key": "local"}}},
    task_ignore_result=True, worker_prefetch_multiplier=10, broker_connection_retry_on_startup=True)
@app.task(name="send")
def send(n):
    body = json.dumps({"key": f"celery-{n}", "recipient": "fan", "text": "Hi"})
    headers = {"Content-Type": "application/json", "Authorization": "Bearer simulated"}
    path = os.environ["ONLYFANS_API_URL"] + f"/accounts/account-{n % 1000}/messages"
    urllib.request.urlopen(
        urllib.request.Request(path, body.encode(), headers), timeout=10).read()
"""


class Rival:
    """Celery with SQS as broker and forty threads, in an environment of its own."""

    def __init__(self, folder: Path | None, made: World) -> None:
        self.python = None if folder is None else _python(folder)
        self._made = made
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Rival":
        if self.python is not None:
            self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def run(self, number: int, seen: int) -> float:
        """Send so many; return messages a second, as the platform saw them."""
        code = f"import rival\nfor n in range({seen}, {seen + number}): rival.send.delay(n)"
        subprocess.run([str(self.python), "-c", code], env=self._env, cwd=self._home, check=True)
        return number / span(self._made.wait(seen + number, 600)[seen:])

    def _start(self) -> None:
        import boto3

        where = self._made.settings.aws_endpoint_url or ""
        client = boto3.client(
            "sqs", region_name="us-east-1", endpoint_url=where,
            aws_access_key_id="local", aws_secret_access_key="local",
        )  # fmt: skip
        url = client.create_queue(QueueName="celery")["QueueUrl"]
        self._home = self._made.log.parent
        (self._home / "rival.py").write_text(_CELERY)
        self._env = stack.environment(self._made.settings) | {
            "SQS_HOST": where.removeprefix("http://"), "SQS_URL": url,
        }  # fmt: skip
        command = [str(self.python), "-m", "celery", "-A", "rival", "worker", "-P", "threads"]
        self._process = subprocess.Popen(
            [*command, "-c", "40", "--without-mingle", "--without-gossip"],
            env=self._env, cwd=self._home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _python(folder: Path) -> Path:
    program = folder / "bin" / "python"
    if not program.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(program), "-m", "pip", "install", "-q", "celery[sqs]"], check=True)
    return program


SCENARIOS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "throughput": throughput, "makespan": makespan, "eta": eta, "priority": priority,
    "backlog": backlog,
}  # fmt: skip


def main() -> None:
    """Run the scenarios that are asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], default=[])
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--rival-messages", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--accounts", type=int, default=3_000)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    parser.add_argument("--venv", type=Path)
    arguments = parser.parse_args()
    for name in arguments.scenarios or SCENARIOS:
        print(json.dumps({"benchmark": "sender", "scenario": name} | SCENARIOS[name](arguments)))


if __name__ == "__main__":
    main()
