"""Messages from decision to platform on real servers: PostgreSQL, Redis and SQS."""

import asyncio
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import scene
from scene import decide
from sqlalchemy import event, text

from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery import epoch, intents, relay, worker
from huntaze_pipeline.delivery.books import LOCK
from huntaze_pipeline.delivery.breaker import Tuning
from huntaze_pipeline.delivery.chronometer import Chronometer
from huntaze_pipeline.delivery.limiter import EVERYBODY, Limits
from huntaze_pipeline.delivery.outfit import Options, Parts
from huntaze_pipeline.delivery.platforms.base import (
    Capabilities,
    Kind,
    Outcome,
    Outgoing,
)
from huntaze_pipeline.delivery.queue import MemoryQueue
from huntaze_pipeline.delivery.quotas import Quotas
from huntaze_pipeline.delivery.sender import Sender
from huntaze_pipeline.errors import StoreError
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

QUICK = Options(poll_s=0.02, long_poll_s=1, timeout_s=1.0, lease_s=3.0, margin_s=0.2, relay=True)
PARKING = Capabilities("onlyfans", 1000)
AMPLE = Limits(1000, 60)
SENT = Outcome(Kind.SENT, platform_ref="ref", status_code=200)


@dataclass
class FakePlatform:
    """A platform that answers by script, else with SENT, and remembers what arrived when."""

    script: Callable[[Outgoing, int], Outcome | float] = lambda _m, _n: SENT
    capabilities: Capabilities = PARKING
    found: Outcome = SENT
    calls: list[tuple[float, str]] = field(default_factory=list)

    async def send(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        nth = sum(m == message.message_id for _, m in self.calls)
        self.calls.append((time.monotonic(), message.message_id))
        answer = self.script(message, nth)
        if isinstance(answer, Outcome):
            return answer
        await asyncio.sleep(answer)
        return SENT

    async def look_up(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        return self.found

    async def close(self) -> None:
        self.calls = list(self.calls)


def decision(fan: str = "fan-1", **changes: Any) -> Decision:
    told = {"source": "campaign", "source_id": "spring", "fan_id": fan, "address": fan}
    return scene.decision(**told | {"content": f"Hello {fan}"} | changes)


def rows(store: Store, columns: str = "state") -> dict[str, Any]:
    with store.worker() as connection:
        found = connection.execute(text(f"select id, {columns} from messages"))
        return {row[0]: row[1] if len(row) == 2 else tuple(row[1:]) for row in found}


@dataclass
class Bench:
    """A sender's world; `run` lets one sender work until nothing is left."""

    settings: Settings
    store: Store
    platform: FakePlatform
    limits: Limits = AMPLE
    totals: dict[str, Limits] = field(default_factory=dict)
    tuning: Tuning | None = None
    clock: Clock = system_clock
    """What the sender's machine shows."""
    log: io.StringIO = field(default_factory=io.StringIO)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends the run under way."""

    def parts(self) -> Parts:
        return worker.parts(
            self.settings, store=self.store, platforms={"onlyfans": self.platform},
            quotas=self.quotas, clock=Chronometer(self.clock), out=self.log,
            tuning=self.tuning,
        )  # fmt: skip

    def quotas(self) -> Quotas:
        return Quotas({"onlyfans": self.limits}, totals=self.totals)

    def run(self, options: Options = QUICK, *, seconds: float | None = None) -> None:
        asyncio.run(self._run(options, seconds))

    async def _run(self, options: Options, seconds: float | None) -> None:
        made = self.parts()
        stop = self.stop = asyncio.Event()
        if seconds is not None:
            asyncio.get_running_loop().call_later(seconds, stop.set)
        try:
            async with asyncio.timeout(60):
                await Sender(made, options).run(stop, until_idle=seconds is None)
        finally:
            worker.close(made)


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    """A store without a pool, which would leave torn connections to the garbage collector."""
    found = Store(settings, pooled=False)
    yield found
    found.engine.dispose()


@pytest.fixture
def bench(settings: Settings, store: Store, creator: str) -> Bench:
    with store.worker() as connection:
        connection.execute(
            text("""insert into campaigns (creator_id, id, name, status, platforms)
                values ('maya', 'spring', 'Spring', 'active', '["onlyfans"]')""")
        )
    return Bench(settings, store, FakePlatform())


def test_a_decision_is_sent_once_and_becomes_an_event(bench: Bench) -> None:
    (message,) = decide(bench.store, decision(variant_id="a"))
    bench.run()

    assert [m for _, m in bench.platform.calls] == [message]
    assert rows(bench.store, "state, platform_ref, attempts")[message] == ("sent", "ref", 0)
    with bench.store.worker() as c:
        event = c.execute(text("select event_id, name, campaign_id, properties from inbox")).one()
    assert event == (f"sent:{message}", "sent", "spring", {"variant": "a"})
    line = json.loads(bench.log.getvalue().splitlines()[-1])
    assert (line["message_id"], line["state"], line["kept"]) == (message, "sent", True)
    assert "Hello" not in bench.log.getvalue()


def test_never_more_than_the_limit_in_a_window(bench: Bench) -> None:
    bench.limits = Limits(5, 0.5)
    decide(bench.store, *[decision(occurrence=str(i)) for i in range(17)])
    bench.run()

    times = [t for t, _ in bench.platform.calls]
    assert len(times) == 17
    assert max(sum(t <= u < t + 0.5 for u in times) for t in times) <= 5


@pytest.mark.parametrize("pool", [pytest.param("onlyfans", marks=pytest.mark.slow), EVERYBODY])
def test_accounts_never_send_more_than_they_share(bench: Bench, pool: str) -> None:
    with bench.store.worker() as c:
        c.execute(
            text("""insert into accounts (creator_id, id, platform, handle)
            select 'maya', 'acc-' || n, 'onlyfans', 'acc-' || n from generate_series(0, 3) n""")
        )
    made = [decision(occurrence=str(i), account_id=f"acc-{i % 4}") for i in range(20)]
    decide(bench.store, *made)
    bench.totals = {pool: Limits(8, 1)}
    bench.run()

    times = [t for t, _ in bench.platform.calls]
    assert len(times) == 20
    assert max(sum(t <= u < t + 1 for u in times) for t in times) <= 8


def test_a_failing_message_is_tried_three_times_and_then_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huntaze_pipeline.delivery.verdicts.BASE_S", 0.02)
    bench.platform.script = lambda _m, _n: Outcome(Kind.RETRY, status_code=503, detail="down")
    (message,) = decide(bench.store, decision())
    bench.run()

    assert len(bench.platform.calls) == 3
    assert rows(bench.store, "state, attempts, last_error")[message] == ("failed", 3, "down")
    with bench.store.worker() as c:
        assert c.execute(text("select name from inbox")).scalars().all() == ["failed"]
        assert c.scalar(text("select count(*) from attempts where outcome = 'retry'")) == 3


@pytest.mark.parametrize("wrong", [timedelta(hours=2), timedelta(hours=-2)])
def test_a_machine_whose_clock_is_wrong_neither_delays_a_retry_nor_writes_a_wrong_time(
    bench: Bench, wrong: timedelta
) -> None:
    failed = Outcome(Kind.RETRY, status_code=503)
    bench.platform.script = lambda _, nth: failed if nth == 0 else SENT
    bench.clock = lambda: system_clock() + wrong
    (message,) = decide(bench.store, decision())
    bench.run()

    state, sent_at, not_before, now = rows(
        bench.store, "state, sent_at, not_before, clock_timestamp()"
    )[message]
    assert state == "sent"
    assert timedelta(0) < now - sent_at < timedelta(seconds=10)
    assert timedelta(0) < now - not_before < timedelta(seconds=20)


def test_too_fast_is_no_failure_and_rests_the_account(bench: Bench) -> None:
    limited = Outcome(Kind.LIMITED, status_code=429, retry_after_s=0.4)
    bench.platform.script = lambda _m, n: limited if n == 0 else SENT
    (message,) = decide(bench.store, decision())
    bench.run()

    (first, _), (second, _) = bench.platform.calls
    assert second - first >= 0.4
    assert rows(bench.store, "state, attempts")[message] == ("sent", 0)


def test_a_refusal_is_final(bench: Bench) -> None:
    bench.platform.script = lambda _m, _n: Outcome(Kind.REFUSED, detail="no such recipient")
    (message,) = decide(bench.store, decision())
    bench.run()

    assert len(bench.platform.calls) == 1
    assert rows(bench.store, "state, reason")[message] == ("failed", "no such recipient")


def test_a_lost_answer_is_left_to_a_person_when_nothing_else_is_safe(bench: Bench) -> None:
    bench.platform.script = lambda _m, _n: 60.0
    (message,) = decide(bench.store, decision())
    bench.run(replace(QUICK, timeout_s=0.1))

    assert len(bench.platform.calls) == 1
    assert rows(bench.store)[message] == "unknown"


def test_a_lost_answer_is_resent_where_the_key_makes_it_safe(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huntaze_pipeline.delivery.verdicts.BASE_S", 0.02)
    bench.platform.capabilities = Capabilities(
        "onlyfans", 1000, honours_idempotency=True, unknown="resend"
    )
    bench.platform.script = lambda _m, n: Outcome(Kind.UNKNOWN) if n == 0 else SENT
    (message,) = decide(bench.store, decision())
    bench.run()

    assert len(bench.platform.calls) == 2
    assert rows(bench.store, "state, attempts")[message] == ("sent", 1)


def test_a_message_that_fails_for_good_after_a_lost_answer_is_not_called_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huntaze_pipeline.delivery.verdicts.BASE_S", 0.02)
    bench.platform.capabilities = Capabilities(
        "onlyfans", 1000, honours_idempotency=True, unknown="resend"
    )
    bench.platform.script = lambda _m, n: Outcome(Kind.UNKNOWN if n == 0 else Kind.RETRY)
    (message,) = decide(bench.store, decision())
    bench.run()

    assert rows(bench.store, "state, attempts")[message] == ("unknown", 3)
    with bench.store.worker() as connection:
        assert connection.scalar(text("select count(*) from inbox")) == 0


@pytest.mark.parametrize(("found", "calls"), [(SENT, 1), (Outcome(Kind.RETRY), 2)])
def test_a_lost_answer_is_asked_for_once_the_lease_has_ended(
    bench: Bench, found: Outcome, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huntaze_pipeline.delivery.verdicts.BASE_S", 0.02)
    bench.platform.capabilities = Capabilities("onlyfans", 1000, unknown="look_up")
    bench.platform.found = found
    bench.platform.script = lambda _m, n: Outcome(Kind.UNKNOWN) if n == 0 else SENT
    (message,) = decide(bench.store, decision())
    bench.run(replace(QUICK, lease_s=1.0, timeout_s=0.3))

    assert len(bench.platform.calls) == calls
    assert rows(bench.store)[message] == "sent"


GATES = {
    "cancelled": "update messages set state = 'cancelled'",
    "expired": "update messages set expires_at = now() - interval '1 s'",
    "consent_withdrawn": "update consents set granted = false",
    "suppressed": "insert into suppressions values ('maya', 'onlyfans', 'fan-1', 'bounced')",
    "campaign_cancelled": "update campaigns set status = 'cancelled'",
    "campaign_paused": "update campaigns set status = 'paused'",
    "account_paused": "update accounts set status = 'paused'",
}
ENDS = {
    "cancelled": "cancelled", "campaign_cancelled": "cancelled", "expired": "expired",
}  # fmt: skip


@pytest.mark.parametrize("gate", GATES)
def test_what_changed_after_the_relay_still_stops_a_message(bench: Bench, gate: str) -> None:
    (message,) = decide(bench.store, decision())
    queue = MemoryQueue()
    assert relay.publish(bench.store, queue, datetime.now(UTC)) == 1
    with bench.store.worker() as c:
        statement = GATES[gate].replace(
            "values (", "(creator_id, platform, normalised, reason) values ("
        )
        c.execute(text(statement))
    made = bench.parts()
    made.queue = queue
    asyncio.run(_until_idle(made))

    held = gate.endswith("_paused")
    state, reason = rows(bench.store, "state, reason")[message]
    assert bench.platform.calls == []
    assert state == ENDS.get(gate, "decided" if held else "skipped")
    assert gate == "cancelled" or reason == gate


async def _until_idle(made: Parts) -> None:
    try:
        async with asyncio.timeout(20):
            await Sender(made, replace(QUICK, relay=False)).run(asyncio.Event(), until_idle=True)
    finally:
        worker.close(made)


def test_a_second_note_for_a_sent_message_changes_nothing(bench: Bench) -> None:
    decide(bench.store, decision())
    queue = MemoryQueue()
    relay.publish(bench.store, queue, datetime.now(UTC))
    notes = [p for item in queue.receive("medium", wait_s=0) for p in item.parcels]
    queue.send(notes * 3)
    made = bench.parts()
    made.queue = queue
    asyncio.run(_until_idle(made))

    assert len(bench.platform.calls) == 1


def test_messages_go_while_sqs_is_away(bench: Bench) -> None:
    decide(bench.store, *[decision(occurrence=str(i)) for i in range(5)])
    made = bench.parts()
    queue = MemoryQueue()
    queue.down = True
    made.queue = queue
    asyncio.run(_relaying(made))

    assert set(rows(bench.store).values()) == {"sent"}


async def _relaying(made: Parts) -> None:
    try:
        async with asyncio.timeout(20):
            await Sender(made, QUICK).run(asyncio.Event(), until_idle=True)
    finally:
        worker.close(made)


def test_a_flushed_redis_never_means_a_fresh_allowance(bench: Bench) -> None:
    bench.limits = Limits(4, 1.5)
    decide(bench.store, *[decision(occurrence=str(i)) for i in range(10)])

    async def scene() -> None:
        made = bench.parts()
        run = asyncio.create_task(_relaying(made))
        while len(bench.platform.calls) < 4:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        made.breaker.redis._client.flushdb()
        await run

    asyncio.run(scene())

    times = [t for t, _ in bench.platform.calls]
    assert len(times) == 10
    assert max(sum(t <= u < t + 1.5 for u in times) for t in times) <= 4
    assert "limiter rebuilt" in bench.log.getvalue()


@pytest.mark.slow
def test_the_breaker_opens_for_a_platform_that_is_down_and_closes_after_probes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huntaze_pipeline.delivery.verdicts.BASE_S", 0.01)
    bench.tuning = Tuning(minimum=5, open_s=0.5, probes=2)
    down, calls = Outcome(Kind.RETRY, status_code=503), bench.platform.calls
    bench.platform.script = lambda _m, _n: down if len(calls) <= 8 else SENT
    decide(bench.store, *[decision(occurrence=str(i)) for i in range(60)])
    bench.run(replace(QUICK, concurrency=8))

    states = list(rows(bench.store).values())
    assert states.count("sent") >= 50
    times = [t for t, _ in bench.platform.calls]
    assert max(b - a for a, b in pairwise(times)) >= 0.4


def test_stopping_finishes_the_calls_under_way(bench: Bench) -> None:
    def called(_message: Outgoing, _nth: int) -> float:
        if len(bench.platform.calls) == 3:
            bench.stop.set()
        return 0.5

    bench.platform.script = called
    decide(bench.store, *[decision(occurrence=str(i)) for i in range(3)])
    bench.run(seconds=30)

    done = set(rows(bench.store).values())
    assert done == {"sent"}
    assert len(bench.platform.calls) == 3


def test_a_future_message_waits_for_its_time(bench: Bench) -> None:
    decide(bench.store, decision(not_before=datetime.now(UTC) + timedelta(hours=1)))
    bench.run()

    assert bench.platform.calls == []
    assert set(rows(bench.store).values()) == {"decided"}


def test_a_database_that_drops_its_connections_only_makes_the_sender_wait(bench: Bench) -> None:
    bench.platform.script = lambda _m, _n: 0.05
    decide(bench.store, *[decision(occurrence=str(i)) for i in range(60)])

    async def scene() -> None:
        run = asyncio.create_task(_relaying(bench.parts()))
        for _ in range(4):
            await asyncio.sleep(0.15)
            with bench.store.owner() as c:
                c.execute(
                    text("""select pg_terminate_backend(pid) from pg_stat_activity
                        where datname = current_database() and pid <> pg_backend_pid()""")
                )
        await run

    asyncio.run(scene())

    assert set(rows(bench.store).values()) <= {"sent", "unknown"}
    sent = [m for m, state in rows(bench.store).items() if state == "sent"]
    assert len(bench.platform.calls) == len({m for _, m in bench.platform.calls}) >= len(sent) > 40


def test_a_redis_that_drops_its_connections_only_makes_the_sender_wait(bench: Bench) -> None:
    bench.limits = Limits(20, 1)
    decide(bench.store, *[decision(occurrence=str(i)) for i in range(40)])

    async def scene() -> None:
        made = bench.parts()
        run = asyncio.create_task(_relaying(made))
        for _ in range(5):
            await asyncio.sleep(0.2)
            for client in made.breaker.redis._client.client_list():
                if client["addr"] and "cmd" in client and client["db"] != "0":
                    made.breaker.redis._client.client_kill_filter(_id=client["id"], skipme=True)
        await run

    asyncio.run(scene())

    times = [t for t, _ in bench.platform.calls]
    assert set(rows(bench.store).values()) == {"sent"}
    assert len(times) == 40
    assert max(sum(t <= u < t + 1 for u in times) for t in times) <= 20


def test_a_high_message_does_not_wait_for_the_calls_of_others(bench: Bench) -> None:
    """All places are taken by a slow call when it is decided."""
    decide(bench.store, decision("slow", priority="low"))
    slow_s = 2.5

    def script(message: Outgoing, _: int) -> Outcome | float:
        if message.address != "slow":
            return SENT
        decide(bench.store, decision("fan-2", priority="high"))
        return slow_s

    bench.platform.script = script
    bench.run(replace(QUICK, concurrency=1, timeout_s=10, lease_s=15))

    (low, _), (high, _) = bench.platform.calls
    assert high < low + slow_s
    assert set(rows(bench.store).values()) == {"sent"}


def test_a_row_whose_note_may_be_on_its_way_is_not_parked_again(bench: Bench) -> None:
    made = bench.parts()
    books, redis, directory = made.store, made.limiter.redis, made.directory
    epoch.adopt(books, redis, directory, lease_s=3)
    decide(books, decision())
    now = datetime.now(UTC)
    relay.publish(books, MemoryQueue(), now)

    assert epoch.repark(books, redis, directory, now) == 0
    assert epoch.repark(books, redis, directory, now + timedelta(seconds=1)) == 1
    worker.close(made)


def test_a_queued_row_that_no_queue_knows_is_swept_up(bench: Bench) -> None:
    (message,) = decide(bench.store, decision())
    relay.publish(bench.store, MemoryQueue(), datetime.now(UTC))
    bench.run()
    with bench.store.worker() as c:
        c.execute(text("update messages set state = 'queued', sent_at = null"))
    bench.run(replace(QUICK, sweep_s=0.3))

    assert rows(bench.store)[message] == "sent"
    assert len(bench.platform.calls) == 2


def test_a_sender_that_stands_still_amid_its_intents_holds_up_nobody(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its host may have vanished: nobody would tell PostgreSQL for hours."""
    monkeypatch.setattr("huntaze_pipeline.delivery.books.IDLE_S", 0.3)
    stands, over = threading.Event(), threading.Event()

    @event.listens_for(store.engine, "after_cursor_execute")
    def stand_still(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "advisory" in statement:
            stands.set()
            over.wait(20)

    with ThreadPoolExecutor(1) as thread:
        doomed = thread.submit(
            intents.commit, store, [], epoch="e", worker="w", lease_s=5, now=system_clock()
        )
        assert stands.wait(10)
        with Store(settings, pooled=False).owner() as another:
            another.execute(text("set lock_timeout = '10s'"))
            another.execute(text(f"select pg_advisory_xact_lock({LOCK})"))
        over.set()
        with pytest.raises(StoreError, match="idle for too long"):
            doomed.result()
