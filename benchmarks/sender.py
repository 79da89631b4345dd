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
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _celery import Rival
from _costs import counted, processors
from _sending import World, busiest, instant, senders, span, world
from sqlalchemy import text

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.delivery import epoch, messages, worker
from huntaze_pipeline.delivery.limiter import Limits, Permit, Settlement
from huntaze_pipeline.delivery.validation import Request

AMPLE = Limits(1_000, 60)
USUAL = Limits(10, 60)


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


def makespan(arguments: argparse.Namespace) -> dict[str, Any]:
    """Send three windows' worth of every account."""
    accounts, each = arguments.accounts, 30
    with world(accounts, USUAL) as made:
        made.decide("span", 0, accounts * each, accounts)
        with senders(made):
            arrivals = made.wait(accounts * each, 600)
    times: dict[str, list[float]] = defaultdict(list)
    for arrival in arrivals:
        times[arrival["account"]].append(arrival["t"])
    bound = (each // USUAL.count - 1) * USUAL.window_s
    own = [(mine[-1] - mine[0]) / bound for mine in times.values()]
    first_round = max(mine[USUAL.count - 1] for mine in times.values()) - arrivals[0]["t"]
    return {
        "accounts": accounts, "messages": len(arrivals), "makespan_s": round(span(arrivals), 2),
        "bound_s": bound, "over_bound": round(span(arrivals) / bound, 4),
        "account_over_bound_median": round(statistics.median(own), 4),
        "account_over_bound_max": round(max(own), 4),
        "first_round_s": round(first_round, 2),
        "after_first_round_over_bound": round((span(arrivals) - first_round) / bound, 4),
        "max_in_any_window": busiest(arrivals, USUAL.window_s),
    }  # fmt: skip


def eta(arguments: argparse.Namespace) -> dict[str, Any]:
    """Submit messages one by one as the API does, and compare their estimates with arrivals."""
    limits, number = Limits(10, 20), 600
    promised: dict[str, float] = {}
    with world(21, limits) as made, senders(made, 1):
        made.decide("warm", 20, 21, 21)
        made.wait(1, 120)  # the sender has started
        for n in range(number):
            now = system_clock()
            request = Request(recipient=f"fan-{n % 20}", content=f"Hello {n}", key=f"eta-{n}")
            accepted = messages.submit(
                made.store, "bench", request, now=now, standard=lambda _: limits
            )
            assert accepted.estimated_delivery is not None
            promised[accepted.message_id] = accepted.estimated_delivery.timestamp()
            time.sleep(0.02)
        arrived = made.wait(number + 1, 300)[1:]
    errors = sorted(abs(instant(a) - promised[a["message"]]) for a in arrived)
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
                    return instant(arrival)
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
