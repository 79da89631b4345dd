"""What goes wrong when, drawn from a seed: the same seed is the same storm.

Pure: names and instants only. Carrying it out is `storm`'s work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from huntaze_pipeline.local.chaos.points import POINTS

SERVERS = ("postgres", "redis", "sqs")
EVERY_S = 2.5
"""Mean time between two faults."""
ROUND_S = 120.0
"""All numbered points are visited once in so long."""
CALM = 0.85
"""Faults begin in this share of the time only, so that all can end within it."""
EARLY = 0.75
"""Traps are set in this share of a round: somebody must still come by."""
CALLER = "caller"
"""Its clock is right: when a message was decided is what the verdict reckons with."""
CALLER_FIRST = 0.15
"""Points of the caller come early, while it still has rows to write."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    kill, pause: a worker or a server. cut, hold: a worker's connections to a server are dropped
    and refused, or carry nothing; `worker` is ``*`` for everybody. empty: Redis forgets all.
    behind: Redis's clock shows less than it has shown before. ahead: a worker's own clock shows as
    much more as it lasts. point: the trap of a numbered point is set.
    """

    at_s: float
    kind: str
    target: str
    lasts_s: float = 0.0
    worker: str = ""


AHEAD_S = (1.0, 20.0)
"""How far a clock jumps."""
_WORKER_KINDS = (("kill", 5), ("pause", 3), ("ahead", 2))
_SERVER_KINDS = (("kill", 2), ("pause", 2), ("cut", 4), ("hold", 3), ("empty", 1), ("behind", 0.5))


def schedule(seed: int, seconds: float, workers: Sequence[str]) -> list[Fault]:
    """Draw a storm of so many seconds over these workers, in the order of time."""
    draw = Random(f"chaos {seed}")
    faults = _points(draw, seconds)
    at = draw.expovariate(1 / EVERY_S)
    while at < seconds * CALM:
        faults.append(_fault(draw, at, workers, seconds))
        at += draw.expovariate(1 / EVERY_S)
    return sorted(faults, key=lambda fault: fault.at_s)


def _points(draw: Random, seconds: float) -> list[Fault]:
    """Set every trap once a round, in turn; Redis is emptied for those that a rebuild meets."""
    faults: list[Fault] = []
    rounds = max(1, int(seconds // ROUND_S))
    lasts = seconds / rounds
    for number in range(rounds):
        for place, point in enumerate(POINTS):
            share = (place + draw.random()) / len(POINTS) * EARLY
            if point.part == "caller":
                share *= CALLER_FIRST
            at = (number + share) * lasts
            faults.append(Fault(at, "point", str(point.number)))
            if point.rebuild:
                faults.append(Fault(at, "empty", "redis"))
    return faults


def _fault(draw: Random, at: float, workers: Sequence[str], seconds: float) -> Fault:
    """Hit a worker or a server; what lasts ends before the storm does."""
    left = seconds - at
    if draw.random() < 0.5:
        kind = _pick(draw, _WORKER_KINDS)
        if kind == "ahead":
            lasts = min(draw.uniform(*AHEAD_S), left)
            return Fault(at, kind, draw.choice([w for w in workers if w != CALLER]), lasts)
        lasts = min(draw.choice((0.3, 1.0, 3.0, 9.0)), left) if kind == "pause" else 0.0
        return Fault(at, kind, draw.choice(workers), lasts)
    kind = _pick(draw, _SERVER_KINDS)
    if kind in ("empty", "behind"):
        return Fault(at, kind, "redis", draw.uniform(1, 4) if kind == "behind" else 0.0)
    server = draw.choice(SERVERS)
    if kind in ("kill", "pause"):
        return Fault(at, kind, server, min(draw.uniform(0.5, 5), left) if kind == "pause" else 0.0)
    worker = draw.choice((*workers, "*"))
    return Fault(at, kind, server, min(draw.uniform(0.5, 8), left), worker)


def _pick(draw: Random, kinds: Sequence[tuple[str, float]]) -> str:
    names, weights = zip(*kinds, strict=True)
    return draw.choices(names, weights)[0]
