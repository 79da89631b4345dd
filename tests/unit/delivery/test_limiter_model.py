"""Whatever happens to calls, no window ever holds more arrivals than the limit."""

from bisect import bisect_left
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from huntaze_pipeline.delivery.limiter import Grant, Limits, Parcel, Permit, Settlement
from huntaze_pipeline.delivery.model import MemoryLimiter

LEASE_MS = 3000
FATES = ("ok", "ok", "ok", "retry", "limited", "unknown", "crash", "unused")


@dataclass
class World:
    """Workers that claim at odd moments, and a platform that sees calls when they arrive."""

    limits: Limits
    fates: list[tuple[str, int, int]]
    """For each call: what becomes of it, when it ends (ms), and how early it arrives (share)."""
    polls: list[int]
    now: int = 1_000_000
    total: Limits | None = None
    """What all accounts share."""
    arrivals: list[tuple[int, str, str]] = field(default_factory=list)
    ends: list[tuple[int, int, Settlement]] = field(default_factory=list)

    def run(self, parcels: list[Parcel]) -> None:
        limiter = MemoryLimiter(lambda: self.now)
        limiter.share({"email": self.total} if self.total else {})
        limiter.enqueue(parcels, {p.account_id: self.limits for p in parcels})
        serial, step = count(), count()
        for turn in range(400):
            claimed = limiter.claim(7, lease_s=LEASE_MS / 1000)
            for grant in claimed.grants:
                self._call(grant, self.fates[next(step) % len(self.fates)], next(serial))
            self.now += 1 + self.polls[turn % len(self.polls)]
            while self.ends and self.ends[0][0] <= self.now:
                limiter.commit([heappop(self.ends)[2]])
            if claimed.wake_s is None and not self.ends:
                return

    def _call(self, grant: Grant, fate: tuple[str, int, int], serial: int) -> None:
        kind, took, share = fate
        took = min(took, LEASE_MS)
        if kind != "unused":
            arrival = self.now + took * share // 100
            self.arrivals.append((arrival, grant.account_id, grant.message_id))
        settlement = {
            "ok": Settlement(grant, Permit.SPENT),
            "retry": Settlement(grant, Permit.SPENT, requeue_s=0.3),
            "limited": Settlement(grant, Permit.SPENT, requeue_s=0, block_s=0.5),
            "unknown": Settlement(grant, Permit.HELD),
            "unused": Settlement(grant, Permit.UNUSED, requeue_s=0.05),
        }.get(kind)
        if kind == "unknown":  # it may arrive long after we stopped waiting
            took = took // 3
        if settlement:
            heappush(self.ends, (self.now + took, serial, settlement))

    def together(self, window_ms: int) -> int:
        times = sorted(t for t, _, _ in self.arrivals)
        return max((bisect_left(times, t + window_ms) - i for i, t in enumerate(times)), default=0)

    def worst(self) -> int:
        worst = 0
        for account in {a for _, a, _ in self.arrivals}:
            times = sorted(t for t, a, _ in self.arrivals if a == account)
            for i, t in enumerate(times):
                worst = max(worst, bisect_left(times, t + self.limits.window_ms) - i)
        return worst


calls = st.tuples(st.sampled_from(FATES), st.integers(0, LEASE_MS), st.integers(0, 100))


@given(
    limit=st.integers(1, 12),
    window=st.sampled_from([0.2, 1.0, 5.0]),
    fates=st.lists(calls, min_size=1, max_size=40),
    polls=st.lists(st.integers(0, 2500), min_size=1, max_size=10),
    accounts=st.integers(1, 3),
    messages=st.integers(1, 40),
)
@settings(max_examples=examples(200), deadline=None)
def test_no_window_holds_more_arrivals_than_the_limit(
    limit: int, window: float, fates: list[tuple[str, int, int]], polls: list[int],
    accounts: int, messages: int,
) -> None:  # fmt: skip
    world = World(Limits(limit, window), fates, polls)
    world.run([Parcel("c", f"m{i}", f"a{i % accounts}", "medium", i) for i in range(messages)])

    assert world.worst() <= limit


@given(
    limit=st.integers(1, 6),
    total=st.integers(1, 9),
    window=st.sampled_from([1.0, 1.5, 3.0]),
    fates=st.lists(calls, min_size=1, max_size=40),
    polls=st.lists(st.integers(0, 2500), min_size=1, max_size=10),
    accounts=st.integers(1, 5),
)
@settings(max_examples=examples(200), deadline=None)
def test_no_window_holds_more_arrivals_of_all_accounts_than_they_share(
    limit: int, total: int, window: float, fates: list[tuple[str, int, int]], polls: list[int],
    accounts: int,
) -> None:  # fmt: skip
    shared = Limits(total, window)
    world = World(Limits(limit, 1.0, "email"), fates, polls, total=shared)
    world.run([Parcel("c", f"m{i}", f"a{i % accounts}", "medium", i) for i in range(40)])

    assert world.together(shared.window_ms) <= total
    assert world.worst() <= limit


@given(
    fates=st.lists(st.tuples(st.just("ok"), st.integers(0, 800), st.integers(0, 100))
        | st.tuples(st.just("crash"), st.integers(0, 800), st.just(100)), min_size=2, max_size=20)
    .filter(lambda found: any(kind == "ok" for kind, _, _ in found)),
    messages=st.integers(1, 30),
)  # fmt: skip
@settings(max_examples=examples(100), deadline=None)
def test_every_message_gets_its_turn_whatever_crashes(
    fates: list[tuple[str, int, int]], messages: int
) -> None:
    world = World(Limits(5, 0.5), fates, [100, 700])
    world.run([Parcel("c", f"m{i}", "a", "medium", i) for i in range(messages)])

    assert {m for _, _, m in world.arrivals} == {f"m{i}" for i in range(messages)}


@given(st.integers(1, 20), st.integers(1, 60), st.integers(0, 50))
@settings(max_examples=examples(100), deadline=None)
def test_a_backlog_leaves_as_fast_as_the_limit_allows(
    limit: int, backlog: int, latency: int
) -> None:
    world = World(Limits(limit, 1.0), [("ok", latency, 50)], [4])
    world.run([Parcel("c", f"m{i}", "a", "medium", i) for i in range(min(backlog, limit * 2))])
    windows = -(-min(backlog, limit * 2) // limit) - 1

    span = max(t for t, _, _ in world.arrivals) - 1_000_000
    assert span <= (windows + 1) * (latency + 12) + windows * 1000 + 7 * 60
