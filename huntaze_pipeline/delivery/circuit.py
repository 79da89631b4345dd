"""The breaker in PostgreSQL: the same rule as in Redis, while Redis is away.

A circuit is a value that is read, changed and written under its row's lock; its clock is the
server's. Not here: when this one is used instead of Redis (`standby`).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TypeVar

from sqlalchemy import text

from huntaze_pipeline.delivery.books import IDLE_S
from huntaze_pipeline.delivery.breaker import Admission, Tuning
from huntaze_pipeline.store import checkpoints
from huntaze_pipeline.store.session import Store

SEEN_S = 60.0
"""A sender that has not asked for this long is not running."""
HALF_REST_S = 1.0
"""How long calls wait that find no probe free."""
_NOW = text("select extract(epoch from clock_timestamp())::float8")
_T = TypeVar("_T")
_V = TypeVar("_V")


@dataclass
class Circuit:
    """The breaker of one platform."""

    phase: str = "closed"
    """closed | open | half"""
    until: float = 0.0
    """When it has rested."""
    lasts: float = 0.0
    proved: int = 0
    """Probes that have succeeded."""
    probes: list[float] = field(default_factory=list)
    """When the places of probes under way are free again."""
    calls: dict[str, list[int]] = field(default_factory=dict)
    """Good and bad ones of the last buckets, by the bucket's number."""
    witnesses: dict[str, list[str]] = field(default_factory=dict)
    """Senders that saw failures, by bucket."""
    seen: dict[str, float] = field(default_factory=dict)
    """When each sender asked last."""

    def admit(self, now: float, worker: str, wanted: int, tuning: Tuning) -> Admission:
        """Say how many of the wanted calls may go."""
        self.seen = {w: at for w, at in self.seen.items() if at > now - SEEN_S} | {worker: now}
        if self.phase == "closed":
            return Admission(wanted, 0.0)
        if now < self.until:
            return Admission(0, self.until - now)
        self.phase = "half"
        self.probes = [at for at in self.probes if at > now]
        room = max(0, min(wanted, tuning.probes - len(self.probes)))
        self.probes += [now + tuning.probe_s] * room
        return Admission(room, HALF_REST_S)

    def report(self, now: float, worker: str, good: int, bad: int, tuning: Tuning) -> str:
        """Learn from calls that have ended; return the phase."""
        if self.phase == "half":
            self._prove(now, good, bad, tuning)
        elif self.phase == "closed":
            self._count(int(now // tuning.bucket_s), worker, good, bad, tuning)
            if bad and self._failing(now, tuning):
                self._open(now + tuning.open_s, tuning.open_s)
        return self.phase

    def _prove(self, now: float, good: int, bad: int, tuning: Tuning) -> None:
        self.proved += good
        if bad:
            lasts = min(tuning.most_s, 2 * self.lasts)
            self._open(now + lasts, lasts)
        elif self.proved >= tuning.probes:
            self.phase, self.probes = "closed", []
        else:
            self.probes = sorted(self.probes)[good:]

    def _count(self, bucket: int, worker: str, good: int, bad: int, tuning: Tuning) -> None:
        oldest = bucket - tuning.buckets
        self.calls = {b: n for b, n in self.calls.items() if int(b) > oldest}
        self.witnesses = {b: w for b, w in self.witnesses.items() if int(b) > oldest}
        known = self.calls.setdefault(str(bucket), [0, 0])
        self.calls[str(bucket)] = [known[0] + good, known[1] + bad]
        if bad:
            theirs = self.witnesses.setdefault(str(bucket), [])
            self.witnesses[str(bucket)] = sorted({*theirs, worker})

    def _failing(self, now: float, tuning: Tuning) -> bool:
        total = sum(good + bad for good, bad in self.calls.values())
        bad = sum(bad for _, bad in self.calls.values())
        running = sum(at > now - SEEN_S for at in self.seen.values())
        saw = len({worker for some in self.witnesses.values() for worker in some})
        return (
            total >= tuning.minimum
            and bad / total >= tuning.share
            and saw >= max(1, min(tuning.quorum, running))
        )

    def _open(self, until: float, lasts: float) -> None:
        self.phase, self.until, self.lasts, self.proved = "open", until, lasts, 0
        self.probes, self.calls, self.witnesses = [], {}, {}


class BooksBreaker:
    """The breakers of all platforms, as one sender sees them in the books."""

    def __init__(self, store: Store, worker: str, tuning: Tuning | None = None) -> None:
        self._store = store
        self._worker = worker
        self._tuning = tuning or Tuning()

    def admit(self, wanted: Mapping[str, int]) -> dict[str, Admission]:
        """Ask, per platform, how many of the wanted calls may go."""
        return self._each(
            wanted, lambda known, now, calls: known.admit(now, self._worker, calls, self._tuning)
        )

    def report(self, results: Mapping[str, tuple[int, int]]) -> dict[str, str]:
        """Tell, per platform, (good, bad) calls; return the states: closed, open or half."""
        return self._each(
            results,
            lambda known, now, calls: known.report(now, self._worker, *calls, self._tuning),
        )

    def state(self, platform: str) -> str:
        """Return closed, open or half."""
        with self._store.worker() as connection:
            return Circuit(**checkpoints.read(connection, _name(platform))).phase

    def _each(
        self, given: Mapping[str, _V], work: Callable[[Circuit, float, _V], _T]
    ) -> dict[str, _T]:
        """Change the circuits of some platforms, always in one order: nobody waits for ever."""
        answers: dict[str, _T] = {}
        with self._store.worker(idle_s=IDLE_S) as connection:
            for platform in sorted(given):
                known = Circuit(**checkpoints.take(connection, _name(platform)))
                now = float(connection.execute(_NOW).scalar_one())
                answers[platform] = work(known, now, given[platform])
                checkpoints.move(connection, _name(platform), asdict(known))
        return answers


def _name(platform: str) -> str:
    return f"breaker/{platform}"
