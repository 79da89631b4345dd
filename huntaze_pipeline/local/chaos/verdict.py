"""The judge: what the platforms' own log and PostgreSQL say, counted. Pure, and able to say no.

Nothing here asks a sender, the limiter or Redis what they believe.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from huntaze_pipeline.delivery.verdicts import FAILURES
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


def judge(found: Evidence, *, limit: int, window_s: float) -> dict[str, Any]:
    """Count what went wrong."""
    delivered = Counter(a["message"] for a in found.arrivals if a["verdict"] in DELIVERED)
    platforms = {a["message"]: a["platform"] for a in found.arrivals}
    twice = {m: n - 1 for m, n in delivered.items() if platforms[m] not in found.at_least_once}
    return {
        "messages": len(found.planned),
        "delivered_unique": len(delivered),
        "duplicates_avoidable": sum(twice.values()),
        "lost": len(_lost(found, delivered)),
        "unknown": sum(row["state"] == "unknown" for row in found.rows),
        "max_in_any_window": max(_fullest(found.arrivals, window_s).values(), default=0),
        "bans": len(_banned(found.arrivals, limit, window_s)),
        "false_dlq": found.dead + len(_wrongly_failed(found, delivered)),
        "makespan_over_bound": _ratio(found, limit, window_s),
    }


def missed(line: Mapping[str, Any], *, limit: int) -> list[str]:
    """Say which marks a verdict misses."""
    zero = ("duplicates_avoidable", "lost", "bans", "false_dlq", "crashes")
    found = [f"{name} is {line[name]}, not 0" for name in zero if line.get(name)]
    if line["max_in_any_window"] > limit:
        found.append(f"max_in_any_window is {line['max_in_any_window']}, above {limit}")
    return found


def bound(rows: Iterable[Mapping[str, Any]], limit: int, window_s: float) -> float:
    """Return the seconds that nobody could beat: each account sends as early as its limit lets it.

    A message goes when it was decided, or one window after the one `limit` places before it.
    """
    decided: dict[str, list[datetime]] = defaultdict(list)
    for row in rows:
        decided[row["account_id"]].append(row["decided_at"])
    if not decided:
        return 0.0
    window, last = timedelta(seconds=window_s), []
    for wanted in decided.values():
        slots: list[datetime] = []
        for place, at in enumerate(sorted(wanted)):
            slots.append(max(at, slots[place - limit] + window) if place >= limit else at)
        last.append(slots[-1])
    return (max(last) - min(map(min, decided.values()))).total_seconds()


def _lost(found: Evidence, delivered: Collection[str]) -> set[str]:
    """What is missing, has not ended, or is called sent and never came."""
    states = {row["id"]: row["state"] for row in found.rows}
    lost = {name for name in found.planned if states.get(name) not in ENDED}
    return lost | {n for n, state in states.items() if state == "sent" and n not in delivered}


def _fullest(arrivals: Iterable[Mapping[str, Any]], window_s: float) -> dict[str, int]:
    """Return, for each account, the most arrivals in any (t - window, t]."""
    instants: dict[str, list[float]] = defaultdict(list)
    for arrival in arrivals:
        instants[arrival["account"]].append(arrival["t"])
    return {account: fullest(times, window_s) for account, times in instants.items()}


def _banned(arrivals: Sequence[Mapping[str, Any]], limit: int, window_s: float) -> set[str]:
    told = {a["account"] for a in arrivals if a["verdict"] in ("banned", "too_fast")}
    return told | {name for name, most in _fullest(arrivals, window_s).items() if most > limit}


def _wrongly_failed(found: Evidence, delivered: Collection[str]) -> set[str]:
    """Given up although the platform took it, or before it had really failed so often."""
    bad = Counter(a["message"] for a in found.arrivals if a["verdict"] in _GONE_WRONG)
    refused = {a["message"] for a in found.arrivals if a["verdict"] in ("refused", "banned")}
    failed = {row["id"] for row in found.rows if row["state"] == "failed"}
    return {
        name for name in failed
        if name in delivered or (name not in refused and bad[name] < FAILURES)
    }  # fmt: skip


def _ratio(found: Evidence, limit: int, window_s: float) -> float | None:
    """Return how much longer than the bound it took until the last delivery; None: no bound."""
    least = bound(found.rows, limit, window_s)
    ends = [a["at"] for a in found.arrivals if a["verdict"] in DELIVERED]
    if not ends or least < 1:
        return None
    last = max(map(datetime.fromisoformat, ends))
    first = min(row["decided_at"] for row in found.rows)
    return round((last - first).total_seconds() / least, 3)
