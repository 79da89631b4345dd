"""One set of promises, kept by the in-memory model, by Redis and by the books."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select, text, update

from huntaze_pipeline.delivery import epoch
from huntaze_pipeline.delivery.books import BooksLimiter
from huntaze_pipeline.delivery.limiter import (
    EVERYBODY,
    Grant,
    Limiter,
    Limits,
    LostError,
    Parcel,
    Permit,
    Settlement,
    StepError,
)
from huntaze_pipeline.delivery.model import MemoryLimiter
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.delivery.shards import ChangedServerError, RedisLimiter
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.people import Account, Creator, Fan
from huntaze_pipeline.store.session import Store

LIMIT = Limits(3, 0.4)


@dataclass
class Bench:
    """A limiter and the way to let its time pass."""

    limiter: Limiter
    pause: Callable[[float], None]
    scale: float = 1.0
    """Real seconds in one second of a test: the books are slow on a busy machine."""

    def sleep(self, seconds: float) -> None:
        self.pause(seconds * self.scale)

    def limit(self, count: int, window_s: float, pool: str = "") -> Limits:
        return Limits(count, window_s * self.scale, pool)

    def park(self, *names: str, account: str = "a", priority: str = "medium") -> int:
        parcels = [Parcel("c", n, account, priority, i) for i, n in enumerate(names)]
        return self.limiter.enqueue(parcels, {account: self.limit(LIMIT.count, LIMIT.window_s)})

    def pool(self, account: str, messages: int, platform: str = "email") -> None:
        """Park messages of an account whose platform may have a limit for all its accounts."""
        parcels = [Parcel("c", f"{account}-{i}", account, "medium", i) for i in range(messages)]
        self.limiter.enqueue(parcels, {account: self.limit(10, 1.0, platform)})

    def warm(self) -> None:
        """Let Redis know the shared limits for long enough: a new one rests for a window."""
        if isinstance(self.limiter, RedisLimiter):
            self.limiter.restore("first", [], {})

    def claim(self, budget: int = 100, lease_s: float = 5) -> list[Grant]:
        return self.limiter.claim(budget, lease_s=lease_s * self.scale).grants

    def end(self, grants: list[Grant], permit: Permit = Permit.SPENT, **more: float) -> None:
        scaled = {name: seconds * self.scale for name, seconds in more.items()}
        self.limiter.commit([Settlement(g, permit, **scaled) for g in grants])


class Rows(BooksLimiter):
    """The limiter in the books, with somebody who decides messages and writes down their ends."""

    def __init__(self, store: Store) -> None:
        self.known: dict[str, Limits] = {}
        super().__init__(store, lambda ids: {i: self.known[i] for i in ids if i in self.known})
        self.store = store
        self.epoch = epoch.retreat(store)
        with store.worker() as c:
            c.execute(insert(Creator).values(id="c", name="C"))
            c.execute(insert(Fan).values(creator_id="c", id="fan"))

    def configure(self, limits: Mapping[str, Limits]) -> None:
        self.known.update(limits)
        with self.store.worker() as c:
            known = set(c.execute(select(Account.id)).scalars())
            for name in limits.keys() - known:
                values = {"creator_id": "c", "id": name, "handle": name}
                values["platform"] = limits[name].pool or "onlyfans"
                c.execute(insert(Account).values(values))

    def enqueue(self, parcels: Sequence[Parcel], limits: Mapping[str, Limits]) -> int:
        self.configure(limits)
        with self.store.worker() as c:
            known = set(c.execute(select(Message.id)).scalars())
            new = [p for p in parcels if p.message_id not in known]
            if new:
                c.execute(insert(Message), [_row(p) for p in new])
        return len(new)

    def commit(self, settlements: Sequence[Settlement], *, over: bool = False) -> None:
        super().commit(settlements, over=over)
        done = [s.grant.message_id for s in settlements if s.requeue_s is None]
        with self.store.worker() as c:
            c.execute(update(Message).where(Message.id.in_(done)).values(state="sent"))


def _row(parcel: Parcel) -> dict[str, object]:
    at = datetime.fromtimestamp(parcel.wanted_ms / 1000, UTC)
    return {
        "creator_id": "c", "id": parcel.message_id, "source": "api",
        "source_id": parcel.message_id, "fan_id": "fan", "platform": "onlyfans",
        "account_id": parcel.account_id, "address": "fan", "content": "Hi",
        "priority": parcel.priority, "state": "queued", "not_before": at, "decided_at": at,
        "idempotency_key": parcel.message_id,
    }  # fmt: skip


@pytest.fixture(params=["model", "redis", "books"])
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "books":
        return Bench(Rows(request.getfixturevalue("store")), time.sleep, scale=4)
    if request.param == "model":
        clock = [1_772_452_800_000]

        def sleep(seconds: float) -> None:
            clock[0] += round(seconds * 1000)

        return Bench(MemoryLimiter(lambda: clock[0]), sleep)
    return Bench(_redis(request.getfixturevalue("settings")), time.sleep)


def _redis(settings: Settings) -> RedisLimiter:
    limiter = RedisLimiter(connect(settings), namespace="test", pools=("email", "tiktok"))
    limiter.restore("first", [], {})
    limiter.epoch = "first"
    return limiter


def names(grants: list[Grant]) -> list[str]:
    return [g.message_id for g in grants]


def test_an_account_gets_as_many_permits_as_its_limit(bench: Bench) -> None:
    assert bench.park(*"12345") == 5

    assert sorted(names(bench.claim())) == ["1", "2", "3"]
    assert bench.claim() == []


def test_a_message_that_waits_already_is_not_put_there_twice(bench: Bench) -> None:
    bench.park("1")

    assert bench.park("1", "2") == 1
    assert sorted(names(bench.claim())) == ["1", "2"]


def test_the_window_starts_when_the_call_ends(bench: Bench) -> None:
    bench.park(*"123456")
    first = bench.claim()
    bench.sleep(0.5)

    assert bench.claim() == []
    bench.end(first)
    bench.sleep(0.2)
    assert bench.claim() == []
    bench.sleep(0.25)
    assert len(bench.claim()) == 3


def test_the_claim_says_when_the_next_message_can_go(bench: Bench) -> None:
    bench.park(*"1234")
    bench.end(bench.claim())

    wake = bench.limiter.claim(100, lease_s=5).wake_s

    assert wake is not None
    assert 0.2 < wake / bench.scale <= 0.402


def test_an_empty_limiter_has_nothing_to_wake_for(bench: Bench) -> None:
    assert bench.limiter.claim(100, lease_s=5).wake_s is None


def test_an_unused_permit_is_free_again_at_once(bench: Bench) -> None:
    bench.park(*"123456")
    bench.end(bench.claim(), Permit.UNUSED)

    assert sorted(names(bench.claim())) == ["4", "5", "6"]


def test_a_dead_workers_lease_counts_as_a_call_at_its_end(bench: Bench) -> None:
    bench.park(*"123")
    bench.claim(lease_s=0.3)
    bench.sleep(0.35)

    assert bench.claim() == []
    bench.sleep(0.2)
    assert bench.claim() == []
    bench.sleep(0.2)
    assert sorted(names(bench.claim())) == ["1", "2", "3"]


def test_a_lost_answer_keeps_its_permit_until_lease_end_and_window(bench: Bench) -> None:
    bench.park(*"1234")
    bench.end(bench.claim(lease_s=0.3), Permit.HELD)
    bench.sleep(0.45)

    assert bench.claim() == []
    bench.sleep(0.3)
    assert names(bench.claim()) == ["4"]


def test_a_retry_spends_its_permit_and_queues_again_after_its_wait(bench: Bench) -> None:
    bench.park("1")
    bench.end(bench.claim(), requeue_s=0.2)

    assert bench.claim() == []
    bench.sleep(0.25)
    assert names(bench.claim()) == ["1"]


def test_a_blocked_account_rests_while_others_go_on(bench: Bench) -> None:
    bench.park("1", "2", account="a")
    bench.end(bench.claim(), Permit.SPENT, requeue_s=0, block_s=0.3)
    bench.park("3", account="b")

    assert names(bench.claim()) == ["3"]
    assert bench.limiter.peek("a").blocked_s > 0.1 * bench.scale
    bench.sleep(0.45)
    assert sorted(names(bench.claim())) == ["1", "2"]


def test_high_goes_before_medium_before_low(bench: Bench) -> None:
    bench.park("l", priority="low")
    bench.park("m", priority="medium")
    bench.park("h", priority="high")

    order = [g.message_id for _ in range(3) for g in bench.claim(16)]

    assert order == ["h", "m", "l"]


def test_a_low_message_that_waited_long_goes_before_a_fresh_high_one(bench: Bench) -> None:
    old = Parcel("c", "old", "a", "low", 0)
    new = Parcel("c", "new", "a", "high", 20 * 60_000 + 1)
    bench.limiter.enqueue([new, old], {"a": bench.limit(1, 0.4)})

    assert names(bench.claim()) == ["old"]


def test_a_late_settlement_after_the_lease_still_counts(bench: Bench) -> None:
    bench.park(*"123")
    grants = bench.claim(lease_s=0.1)
    bench.sleep(0.3)
    bench.claim()
    bench.end(grants)
    bench.sleep(0.3)

    assert bench.claim() == []
    assert bench.limiter.peek("a").waiting == 0


def test_a_longer_window_rests_the_account_for_it(bench: Bench) -> None:
    if isinstance(bench.limiter, BooksLimiter):
        pytest.skip("the books forget no call; see the next test")
    bench.park("1")
    bench.limiter.configure({"a": bench.limit(3, 0.8)})

    assert bench.claim() == []
    bench.sleep(0.85)
    assert names(bench.claim()) == ["1"]


def test_the_books_count_older_calls_when_a_window_gets_longer(store: Store) -> None:
    bench = Bench(Rows(store), time.sleep, scale=4)
    bench.park(*"1234")
    bench.end(bench.claim())
    bench.sleep(0.5)
    bench.limiter.configure({"a": bench.limit(3, 1.0)})

    assert bench.claim() == []
    bench.sleep(0.55)
    assert names(bench.claim()) == ["4"]


def test_the_books_give_nothing_once_another_limiter_is_in_use(store: Store) -> None:
    bench = Bench(Rows(store), time.sleep, scale=4)
    bench.park("1")
    with store.worker() as c:
        c.execute(text("update checkpoints set position = cast(:p as jsonb)"), {"p": "{}"})

    with pytest.raises(LostError):
        bench.claim()


def test_accounts_of_a_pool_share_its_limit(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(4, 1.0)})
    for account in ("a", "b", "c"):
        bench.pool(account, 3)
    bench.warm()

    first = bench.claim()
    assert len(first) == 4
    assert len({g.account_id for g in first}) > 1
    bench.end(first[:2], Permit.UNUSED, requeue_s=0)
    again = bench.claim()
    assert len(again) == 2
    bench.end(first[2:] + again)
    bench.sleep(0.6)
    assert bench.claim() == []
    bench.sleep(1.6)
    assert len(bench.claim()) == 4


def test_a_pool_without_room_holds_up_no_other(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(1, 1.0)})
    for i in range(40):
        bench.pool(f"full{i}", 1)
    bench.pool("free", 2, platform="tiktok")
    bench.warm()

    granted = [g.account_id for g in bench.claim(32) + bench.claim(32)]
    assert granted.count("free") == 2
    assert len(granted) == 3


def test_everybody_shares_the_limit_of_all(bench: Bench) -> None:
    bench.limiter.share({EVERYBODY: bench.limit(3, 1.0)})
    bench.pool("a", 2)
    bench.pool("b", 2, platform="tiktok")
    bench.warm()

    first = bench.claim()
    assert len(first) == 3
    assert bench.claim() == []
    bench.end(first)
    bench.sleep(2.2)
    assert len(bench.claim()) == 1


def test_a_shared_limit_may_change_at_any_time(bench: Bench) -> None:
    bench.limiter.share({"email": bench.limit(5, 1.0)})
    bench.pool("a", 3)
    bench.pool("b", 3)
    bench.warm()
    bench.end(bench.claim())
    bench.limiter.share({"email": bench.limit(2, 1.0)})

    assert bench.claim() == []
    bench.limiter.share({})
    assert len(bench.claim()) == 1


def test_a_lower_limit_holds_from_the_next_claim(bench: Bench) -> None:
    bench.park(*"12")
    bench.end(bench.claim())
    bench.limiter.enqueue([Parcel("c", "3", "a", "high", 3)], {"a": bench.limit(1, 0.4)})

    assert bench.claim() == []


def test_one_busy_account_does_not_hold_up_a_quiet_one(bench: Bench) -> None:
    bench.limiter.enqueue(
        [Parcel("c", f"n{i}", "noisy", "medium", i) for i in range(500)],
        {"noisy": bench.limit(3, 0.4)},
    )
    bench.park("q", account="quiet")

    assert "q" in names(bench.claim(32))


def test_nobody_knows_an_account_that_never_sent(bench: Bench) -> None:
    assert bench.limiter.peek("nobody").limits is None


def test_peek_shows_calls_in_flight_and_in_the_window(bench: Bench) -> None:
    bench.park(*"1234")
    grants = bench.claim()
    bench.end(grants[:1])

    view = bench.limiter.peek("a")

    assert (view.calls_in_window, view.in_flight, view.waiting) == (1, 2, 1)
    assert view.slot_s is not None
    assert 0 < view.slot_s <= 0.402 * bench.scale


def test_a_flushed_redis_is_noticed(settings: Settings) -> None:
    limiter = _redis(settings)
    limiter.enqueue([Parcel("c", "1", "a", "high", 1)], {"a": LIMIT})
    limiter.client.flushdb()

    with pytest.raises(LostError):
        limiter.claim(10, lease_s=5)


def test_another_server_is_noticed_on_connecting(settings: Settings) -> None:
    limiter = _redis(settings)
    limiter.run_id = "the one before"
    limiter.client.connection_pool.disconnect()

    with pytest.raises(ChangedServerError):
        limiter.claim(10, lease_s=5)


def test_no_connection_is_trusted_after_a_rebuild_and_no_call_under_way_is_torn(
    settings: Settings,
) -> None:
    limiter = _redis(settings)
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(limiter.client.blpop, ["nothing"], 1)
        while not limiter.client.info("clients")["blocked_clients"]:
            time.sleep(0.01)
        limiter.reconnect()
        assert under_way.result() is None

    limiter.run_id = "the one before"
    with pytest.raises(ChangedServerError):
        limiter.peek("a")


def test_a_clock_that_jumps_forward_stops_claims_for_a_window(settings: Settings) -> None:
    limiter = _redis(settings)
    limiter.rest_s = 0.3
    limiter.claim(16, lease_s=5)
    shown, at = limiter.watch.baseline or (0, 0.0)
    limiter.watch.baseline = (shown - 60_000, at)
    limiter.enqueue([Parcel("c", "1", "a", "high", 1)], {"a": LIMIT})

    with pytest.raises(StepError):
        limiter.claim(16, lease_s=5)
    assert limiter.claim(16, lease_s=5).grants == []
    time.sleep(0.35)
    assert names(limiter.claim(16, lease_s=5).grants) == ["1"]


def test_restored_calls_count_like_those_that_were_lost(settings: Settings) -> None:
    limiter = _redis(settings)
    limiter.client.flushdb()
    limiter.restore("second", [("a", 100, 0), ("a", 0, 0), ("a", -1, 100)], {"a": LIMIT})
    limiter.epoch = "second"
    bench = Bench(limiter, time.sleep)
    bench.park("1", "2", "3")

    assert bench.claim() == []
    bench.sleep(0.32)
    assert len(bench.claim()) == 1
    bench.sleep(0.3)
    assert len(bench.claim()) == 2


def test_the_keys_of_a_quiet_limiter_expire_with_the_window(settings: Settings) -> None:
    bench = Bench(_redis(settings), time.sleep)
    bench.park("1")
    bench.end(bench.claim())
    limiter = bench.limiter
    assert isinstance(limiter, RedisLimiter)

    left = limiter.client.pttl(limiter._keys(limiter.shard("a"))[1])

    assert 0 < left <= 1400


@pytest.mark.parametrize(("keeper", "least"), [("redis", 160), ("books", 80)])
def test_it_never_lets_more_through_than_the_limit(
    request: pytest.FixtureRequest, keeper: str, least: int
) -> None:
    limiter = (
        _redis(request.getfixturevalue("settings"))
        if keeper == "redis"
        else Rows(request.getfixturevalue("store"))
    )
    hammers = 6
    limit = Limits(10, 0.5)
    parcels = [Parcel("c", f"m{i}", f"a{i % 4}", "medium", i) for i in range(400)]
    limiter.enqueue(parcels, {f"a{i}": limit for i in range(4)})
    deadline = time.monotonic() + 3
    with ThreadPoolExecutor(hammers) as pool:
        logs = list(pool.map(lambda seed: _hammer(limiter, seed, deadline), range(hammers)))

    arrivals = sorted(entry for log in logs for entry in log)
    worst = max(_most([t for t, a in arrivals if a == f"a{i}"], 0.5) for i in range(4))
    assert worst <= 10
    assert len(arrivals) >= least
    assert max(Counter(arrivals).values()) == 1


def _hammer(limiter: Limiter, seed: int, deadline: float) -> list[tuple[float, str]]:
    """Send with latencies, lost answers and forgotten permits; log the instants of arrival."""
    log, step = [], 0
    while time.monotonic() < deadline:
        settlements = []
        for grant in limiter.claim(16, lease_s=0.4).grants:
            step += 1
            log.append((time.monotonic(), grant.account_id))
            fate = (seed * 7 + step * 13) % 20
            if fate == 0:
                settlements.append(Settlement(grant, Permit.HELD))
            elif fate > 1:
                settlements.append(Settlement(grant, Permit.SPENT))
        time.sleep(0.003 * (1 + step % 9))
        limiter.commit(settlements)
    return log


def _most(instants: list[float], window: float) -> int:
    worst, start = 0, 0
    for end, instant in enumerate(instants):
        while instants[start] <= instant - window:
            start += 1
        worst = max(worst, end - start + 1)
    return worst
