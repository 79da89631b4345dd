"""The judge: what the platforms' own log and PostgreSQL say, counted. Pure, and able to say no.

Nothing here asks a sender, the limiter or Redis what they believe.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from huntaze_pipeline.delivery.verdicts import FAILURES
from huntaze_pipeline.local.chaos.world import World
from huntaze_pipeline.local.simulator.judge import DELIVERED, fullest

ENDED = ("sent", "failed", "unknown")
"""How a message of a run may end; anything else has lost it."""
_GONE_WRONG = DELIVERED | {"error", "reset", "replayed"}
"""Verdicts of calls that may have failed as the sender saw them: by a 5xx or a lost answer."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a run left."""

    planned: Collection[str]
    rows: Sequence[Mapping[str, Any]]
    """Of the messages table: id, platform, state, account_id, decided_at."""
    arrivals: Sequence[Mapping[str, Any]]
    """Lines of the simulator's log."""
    dead: int = 0
    """Notes in the dead-letter queue."""
    at_least_once: Collection[str] = ()
    """Platforms whose policy allows a second copy after a lost answer."""


def judge(evidence: Evidence, world: World) -> dict[str, Any]:
    """Count what went wrong in a world."""
    delivered = Counter(a["message"] for a in evidence.arrivals if a["verdict"] in DELIVERED)
    platforms = {a["message"]: a["platform"] for a in evidence.arrivals}
    twice = {m: n - 1 for m, n in delivered.items() if platforms[m] not in evidence.at_least_once}
    return {
        "messages": len(evidence.planned),
        "delivered_unique": len(delivered),
        "duplicates_avoidable": sum(twice.values()),
        "lost": len(_lost(evidence, delivered)),
        "unknown": sum(row["state"] == "unknown" for row in evidence.rows),
        "max_in_any_window": max(_fullest(evidence, world, "account").values(), default=0),
        "max_on_a_platform": max(_fullest(evidence, world, "platform").values(), default=0),
        "bans": len(_banned(evidence, world)),
        "false_dlq": evidence.dead + len(_wrongly_failed(evidence, delivered)),
        "makespan_over_bound": _ratio(evidence, world),
    }


def missed(line: Mapping[str, Any], world: World) -> list[str]:
    """Say which marks a verdict misses."""
    zero = ("duplicates_avoidable", "lost", "bans", "false_dlq", "crashes")
    faults = [f"{name} is {line[name]}, not 0" for name in zero if line.get(name)]
    most = {"max_in_any_window": world.limit, "max_on_a_platform": world.total or math.inf}
    faults += [f"{n} is {line[n]}, above {limit}" for n, limit in most.items() if line[n] > limit]
    return faults


def bound(rows: Collection[Mapping[str, Any]], world: World) -> float:
    """Return the seconds that nobody could beat: all is sent as early as each limit by itself lets.

    A message goes when it was decided, or one window after the one `limit` places before it.
    """
    if not rows:
        return 0.0
    ends = [_end(wanted, world.limit, world) for wanted in _decided(rows, "account_id")]
    if world.total:
        ends += [_end(wanted, world.total, world) for wanted in _decided(rows, "platform")]
    return (max(ends) - min(row["decided_at"] for row in rows)).total_seconds()


def _decided(rows: Iterable[Mapping[str, Any]], by: str) -> Iterable[list[datetime]]:
    moments: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        moments[row[by]].append(row["decided_at"])
    return moments.values()


def _end(wanted: Iterable[datetime], limit: int, world: World) -> datetime:
    window, slots = timedelta(seconds=world.window_s), list[datetime]()
    for place, at in enumerate(sorted(wanted)):
        slots.append(max(at, slots[place - limit] + window) if place >= limit else at)
    return slots[-1]


def _lost(evidence: Evidence, delivered: Collection[str]) -> set[str]:
    """What is missing, has not ended, or is called sent and never came."""
    states = {row["id"]: row["state"] for row in evidence.rows}
    lost = {name for name in evidence.planned if states.get(name) not in ENDED}
    return lost | {n for n, state in states.items() if state == "sent" and n not in delivered}


def _fullest(evidence: Evidence, world: World, by: str) -> dict[str, int]:
    """Return, for each account or platform, the most arrivals in any (t - window, t]."""
    instants: dict[str, list[float]] = defaultdict(list)
    for arrival in evidence.arrivals:
        instants[arrival[by]].append(arrival["t"])
    return {name: fullest(times, world.window_s) for name, times in instants.items()}


def _banned(evidence: Evidence, world: World) -> set[str]:
    refused = {a["account"] for a in evidence.arrivals if a["verdict"] in ("banned", "too_fast")}
    most = _fullest(evidence, world, "account")
    return refused | {name for name, count in most.items() if count > world.limit}


def _wrongly_failed(evidence: Evidence, delivered: Collection[str]) -> set[str]:
    """Given up although the platform took it, or before it had really failed so often."""
    bad = Counter(a["message"] for a in evidence.arrivals if a["verdict"] in _GONE_WRONG)
    refused = {a["message"] for a in evidence.arrivals if a["verdict"] in ("refused", "banned")}
    failed = {row["id"] for row in evidence.rows if row["state"] == "failed"}
    return {
        name for name in failed
        if name in delivered or (name not in refused and bad[name] < FAILURES)
    }  # fmt: skip


def _ratio(evidence: Evidence, world: World) -> float | None:
    """Return how much longer than the bound it took until the last delivery; None: no bound."""
    least = bound(evidence.rows, world)
    ends = [a["at"] for a in evidence.arrivals if a["verdict"] in DELIVERED]
    if not ends or least < 1:
        return None
    last = max(map(datetime.fromisoformat, ends))
    first = min(row["decided_at"] for row in evidence.rows)
    return round((last - first).total_seconds() / least, 3)
