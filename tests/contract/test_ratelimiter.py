"""The limiter as another program would use it, on a real Redis."""

import asyncio
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from effort import seconds

from huntaze_pipeline.delivery.limiter import Limits, Permit, StepError
from huntaze_pipeline.delivery.ratelimiter import RateLimiter
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.settings import Settings

GUIDE = Path(__file__).parents[2] / "docs" / "limiter.md"
LIMIT = Limits(3, 0.6)


@pytest.fixture
def limiter(lean: Settings) -> RateLimiter:
    return make(lean)


def make(lean: Settings, limit: Limits = LIMIT, **more: object) -> RateLimiter:
    values = {"lease_s": 1.0, "longest_s": 0.6, "trust_empty": True} | more
    return RateLimiter(connect(lean), limit, namespace="lib", **values)  # type: ignore[arg-type]


def test_the_guide_s_example_runs(lean: Settings) -> None:
    assert lean.redis_url is not None
    calls = Counter[str]()

    async def call_async(account: str) -> None:
        calls[account] += 1

    def call(account: str) -> bool:
        calls[account] += 1
        return calls[account] != 2

    scope = {
        "REDIS_URL": lean.redis_url.get_secret_value(), "call": call, "call_async": call_async,
    }  # fmt: skip
    example = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)[0]
    exec(example, scope)
    asyncio.run(scope["later"]())  # type: ignore[operator]
    left = scope["limiter"].decide({"maya": 10, "lena": 10})  # type: ignore[attr-defined]

    assert calls == {"maya": 4, "lena": 4}
    assert {name: len(answer.passes) for name, answer in left.items()} == {"maya": 7, "lena": 7}


def test_many_accounts_are_decided_at_once(lean: Settings) -> None:
    limiter = make(lean, Limits(3, 60), longest_s=60)
    answers = limiter.decide({f"a{i}": 5 for i in range(2000)})

    assert {len(answer.passes) for answer in answers.values()} == {3}
    passes = [p for answer in answers.values() for p in answer.passes]
    assert len({(p.account, p.handle) for p in passes}) == 6000
    assert all(not a.passes for a in limiter.decide({f"a{i}": 1 for i in range(2000)}).values())


def test_the_window_starts_when_the_call_ends(limiter: RateLimiter) -> None:
    passes = limiter.decide({"a": 3})["a"].passes
    time.sleep(0.7)
    assert limiter.decide({"a": 1})["a"].wait_s is None
    limiter.commit(passes)

    wait = limiter.decide({"a": 1})["a"].wait_s
    assert wait is not None
    assert 0.3 < wait <= 0.602
    time.sleep(0.65)
    assert len(limiter.decide({"a": 9})["a"].passes) == 3


def test_every_account_gets_its_own_answer(lean: Settings) -> None:
    limits = {name: Limits(1 + n % 4, 60 + n % 3) for n, name in enumerate(map(str, range(200)))}
    limiter = RateLimiter(
        connect(lean), limits.__getitem__, namespace="lib", longest_s=62, trust_empty=True
    )
    wanted = {name: 1 + n % 5 for n, name in enumerate(limits)}

    answers = limiter.decide(wanted)

    for name, limit in limits.items():
        passes, wait_s = answers[name]
        assert len(passes) == min(wanted[name], limit.count)
        assert {item.account for item in passes} == {name}
        assert wait_s == (0 if wanted[name] < limit.count else None)


def test_a_pass_that_has_ended_stays_ended(limiter: RateLimiter) -> None:
    first = limiter.decide({"a": 2})["a"].passes
    limiter.commit(first)
    limiter.commit(first)
    limiter.release(first)

    second = limiter.decide({"a": 3})["a"].passes
    assert len(second) == 1
    limiter.release(second)
    second[0].permit = Permit.SPENT
    limiter.commit(second)
    assert len(limiter.decide({"a": 3})["a"].passes) == 1


def test_a_call_that_outlasts_its_lease_counts_from_its_end(lean: Settings) -> None:
    limiter = make(lean, lease_s=0.1)
    passes = limiter.decide({"a": 3})["a"].passes
    time.sleep(0.3)
    limiter.commit(passes)

    wait = limiter.decide({"a": 1})["a"].wait_s
    assert wait is not None
    assert 0.45 < wait <= 0.602
    time.sleep(0.7)
    assert len(limiter.decide({"a": 3})["a"].passes) == 3


def test_a_shorter_lease_beside_a_longer_one_ends_first(lean: Settings) -> None:
    make(lean, lease_s=60).decide({"a": 2})
    make(lean, lease_s=0.1).decide({"a": 1})
    time.sleep(0.2)

    wait = make(lean).decide({"a": 1})["a"].wait_s
    assert wait is not None
    assert 0.3 < wait <= 0.502


def test_a_longer_window_rests_the_account_for_it(lean: Settings) -> None:
    limit = [LIMIT]
    limiter = RateLimiter(connect(lean), lambda _: limit[0], namespace="lib", trust_empty=True)
    limiter.commit(limiter.decide({"a": 1})["a"].passes)
    limit[0] = Limits(3, 0.9)

    answer = limiter.decide({"a": 1, "new": 1})
    assert [len(answer[name].passes) for name in ("a", "new")] == [0, 1]
    assert answer["a"].wait_s is not None
    assert 0.7 < answer["a"].wait_s <= 0.902
    time.sleep(0.95)
    assert len(limiter.decide({"a": 3})["a"].passes) == 3


def test_a_lower_count_holds_at_once(lean: Settings) -> None:
    limit = [LIMIT]
    limiter = RateLimiter(connect(lean), lambda _: limit[0], namespace="lib", trust_empty=True)
    limiter.commit(limiter.decide({"a": 2})["a"].passes)
    limit[0] = Limits(1, LIMIT.window_s)

    assert not limiter.decide({"a": 1})["a"].passes
    limit[0] = Limits(0, LIMIT.window_s)
    assert limiter.decide({"a": 1, "b": 1})["b"] == ((), None)


def test_a_window_longer_than_claims_rest_for_takes_no_permit(lean: Settings) -> None:
    limits = {"a": LIMIT, "b": Limits(3, 90)}
    limiter = RateLimiter(connect(lean), limits.__getitem__, namespace="lib", trust_empty=True)

    with pytest.raises(ValueError, match=r"longest_s must be .* 90 s or more, not 60"):
        limiter.decide({"a": 3, "b": 3})
    assert len(limiter.decide({"a": 3})["a"].passes) == 3


@pytest.mark.parametrize("number", [-1, 1.5, "x", None, True])
def test_a_number_that_is_none_takes_no_permit(limiter: RateLimiter, number: Any) -> None:
    with pytest.raises(ValueError, match="wanted must be a whole number from 0 up"):
        limiter.decide({"b": 1, "a": number})
    assert len(limiter.decide({"b": 3})["b"].passes) == 3


def test_a_pass_that_was_not_used_is_free_at_once(limiter: RateLimiter) -> None:
    limiter.release(limiter.decide({"a": 3})["a"].passes)

    assert len(limiter.decide({"a": 3})["a"].passes) == 3


def test_a_lost_call_counts_until_its_lease_and_a_window(limiter: RateLimiter) -> None:
    for _ in range(3):
        with limiter.acquire("a") as permit:
            permit.lost()
    time.sleep(1.2)
    assert not limiter.decide({"a": 1})["a"].passes
    time.sleep(0.6)
    assert len(limiter.decide({"a": 3})["a"].passes) == 3


def test_a_block_that_raises_has_made_its_call(limiter: RateLimiter) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limiter.acquire("a"):
            raise ZeroDivisionError

    answer = limiter.decide({"a": 1})["a"]
    assert not answer.passes
    assert answer.wait_s is not None


def test_acquiring_waits_or_gives_up(limiter: RateLimiter) -> None:
    limiter.commit(limiter.decide({"a": 3})["a"].passes)
    with pytest.raises(TimeoutError, match="no permit for a"):
        limiter.acquire("a", timeout_s=0.1)

    assert limiter.acquire("a", timeout_s=5).account == "a"


def test_who_is_cancelled_while_asking_takes_no_permit_along(
    limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide, asked, answer, back = limiter.decide, *(threading.Event() for _ in range(3))
    monkeypatch.setattr(limiter, "decide", lambda wanted: _slowly(decide, wanted, asked, answer))
    release = limiter.release
    monkeypatch.setattr(limiter, "release", lambda passes: (release(passes), back.set()))

    async def impatient() -> None:
        task = asyncio.create_task(limiter.acquire_async("a"))
        await asyncio.to_thread(asked.wait, 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer.set()
        assert await asyncio.to_thread(back.wait, 5)

    asyncio.run(impatient())

    assert len(decide({"a": 3})["a"].passes) == 3


def _slowly(
    decide: Callable[..., Any], wanted: Any, asked: threading.Event, answer: threading.Event
) -> Any:
    found = decide(wanted)
    asked.set()
    assert answer.wait(5)
    return found


def test_asynchronous_calls_wait_together(limiter: RateLimiter) -> None:
    async def call() -> float:
        async with await limiter.acquire_async("a"):
            return time.monotonic()

    async def calls() -> list[float]:
        return sorted(await asyncio.gather(*(call() for _ in range(7))))

    times = asyncio.run(calls())
    assert times[3] - times[0] >= 0.6
    assert times[6] - times[3] >= 0.6


def test_an_emptied_redis_rests_for_a_window_and_a_lease(lean: Settings) -> None:
    limiter = make(lean, trust_empty=False)

    assert not limiter.decide({"a": 1})["a"].passes
    assert limiter.acquire("a", timeout_s=5).account == "a"
    limiter._shards.client.flushdb()
    answer = limiter.decide({"a": 1})["a"]
    assert answer.wait_s is not None
    assert 1.0 < answer.wait_s <= 1.6


def test_another_server_s_memory_is_not_believed(lean: Settings) -> None:
    limiter = make(lean)
    limiter.decide({"a": 1})
    limiter._shards.run_id = "the one before"
    limiter._shards.client.connection_pool.disconnect()

    assert not limiter.decide({"a": 1})["a"].passes
    assert limiter.acquire("a", timeout_s=5).account == "a"


def test_a_clock_that_jumps_grants_nothing_for_a_window(lean: Settings) -> None:
    limiter = make(lean)
    limiter.decide({"a": 1})
    shown, at = limiter._watch.baseline or (0, 0.0)
    limiter._watch.baseline = (shown - 2_000, at)

    with pytest.raises(StepError):
        limiter.decide({"a": 1})
    assert not limiter.decide({"a": 1})["a"].passes


def test_hammers_never_pass_the_limit(lean: Settings) -> None:
    limiter = make(lean, Limits(10, 0.5), lease_s=0.5)
    deadline = time.monotonic() + seconds(3)

    def hammer(seed: int) -> list[tuple[float, str]]:
        log: list[tuple[float, str]] = []
        while time.monotonic() < deadline:
            passes = [
                p for a in limiter.decide({f"a{i}": 4 for i in range(4)}).values() for p in a.passes
            ]
            for n, item in enumerate(passes):
                fate = (seed * 7 + (len(log) + n) * 13) % 20
                if fate == 0:
                    item.lost()
                if fate == 1:
                    item.unused()
                else:
                    log.append((time.monotonic(), item.account))
            time.sleep(0.003 * (1 + len(log) % 9))
            limiter.commit(passes[1:] if len(log) % 5 == 0 else passes)
        return log

    with ThreadPoolExecutor(6) as pool:
        arrivals = sorted(entry for log in pool.map(hammer, range(6)) for entry in log)
    for account in (f"a{i}" for i in range(4)):
        times = [at for at, name in arrivals if name == account]
        assert max(sum(t <= u < t + 0.5 for u in times) for t in times) <= 10
    assert len(arrivals) >= 50 * seconds(3)
