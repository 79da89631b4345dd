"""`RateLimiter`: the exact limiter as a library, for any program that calls a limited service.

Here: permits for calls that the caller makes itself. Not here: queues of messages (`shards`), nor
the promise's reasons (`limiter`). See docs/limiter.md.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import redis

from huntaze_pipeline.delivery import bounds
from huntaze_pipeline.delivery.limiter import Limits, Permit, StepError
from huntaze_pipeline.delivery.passes import Answer, Pass
from huntaze_pipeline.delivery.shards import ChangedServerError, RedisLimiter
from huntaze_pipeline.delivery.watch import Watch

POLL_S = 0.05
"""How often to look again when it hangs on calls that have not ended."""
SHARDS = 4
"""Hash tags over which accounts are spread. Each costs a script call; one Redis needs but one."""
_MOST = 500
"""Accounts, or permits, per script call: more would hold up others on the server."""
_AT_ONCE = 3500
"""Accounts per round of script calls, in however many shards: Lua returns no more at once."""
_SERIALS = 65535
_TAKE, _GIVE, _HOLD = (("shard", "calls", name) for name in ("take", "give", "hold"))
_Group = tuple[int, Limits, list[str]]
"""Accounts of one limit that want so many permits each."""


class RateLimiter:
    """Permits from one Redis for many accounts. Safe to use from several threads and processes."""

    def __init__(
        self,
        client: redis.Redis,
        limits: Limits | Callable[[str], Limits],
        *,
        namespace: str = "limiter",
        lease_s: float = 30.0,
        longest_s: float | None = None,
        shards: int = SHARDS,
        trust_empty: bool = False,
    ) -> None:
        """Use a Redis (6.2 or newer, or Valkey).

        Args:
            client: the connection, without `decode_responses`; it belongs to the limiter from now
                on.
            limits: of every account, or of each; asked at each decision, so they may change.
            namespace: how all keys begin.
            lease_s: longer than any call may take; a permit that is never ended counts so long.
            longest_s: the longest window in use; claims rest so long when Redis's memory is in
                doubt. Default 60, or the window of `limits` when they are the same for all and
                longer.
            shards: hash tags over which accounts are spread; the same in every process.
            trust_empty: an empty Redis means that no call was made, instead of a lost memory.

        Raises:
            ValueError: a setting cannot be used; the message names it.
        """
        self._count = bounds.whole("shards", shards, 1)
        self._lease_ms = round(bounds.seconds("lease_s", lease_s) * 1000)
        self._longest_s = bounds.longest(limits, longest_s)
        self._rest_ms = round(self._longest_s * 1000) + self._lease_ms
        self._limits = limits if callable(limits) else lambda _: limits
        self._shards = RedisLimiter(bounds.binary(client), namespace=namespace, shards=shards)
        self._unknown_ms = 0 if trust_empty else self._rest_ms
        self._watch = Watch()

    def acquire(self, account: str, *, timeout_s: float | None = None) -> Pass:
        """Wait for a permit.

        Raises:
            TimeoutError: there was none in time.
        """
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            answer = self.decide({account: 1})[account]
            if answer.passes:
                return answer.passes[0]
            time.sleep(_pause(answer, ends, account))

    async def acquire_async(self, account: str, *, timeout_s: float | None = None) -> Pass:
        """Wait for a permit without blocking the loop; see `acquire`."""
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            answer = await self._decided(account)
            if answer.passes:
                return answer.passes[0]
            await asyncio.sleep(_pause(answer, ends, account))

    def decide(self, wanted: Mapping[str, int]) -> dict[str, Answer]:
        """Take up to this many permits of each account, all in one round trip.

        Raises:
            ValueError: a number, or the limits of an account, cannot be used; none are taken then.
            StepError: Redis's clock jumped; nothing is granted for a window.
        """
        names, most = list(wanted), min(_MOST * self._count, _AT_ONCE)
        asked = [
            question
            for start in range(0, len(names), most)
            for question in self._questions(names[start : start + most], wanted)
        ]
        head = [self._watch.latest(), self._lease_ms, self._unknown_ms]
        calls = [(shard, [_packed(head, groups)]) for shard, groups in asked]
        sent = time.monotonic()
        answers = self._run(_TAKE, calls)
        found: dict[str, Answer] = {}
        for (shard, groups), answer in zip(asked, answers, strict=True):
            found |= self._answers(shard, groups, answer)
        self._inspect(answers, sent, found)
        return found

    def commit(self, passes: Iterable[Pass]) -> None:
        """End passes, all in one round trip: each as its `permit` says, by default as made.

        One that has ended stays ended, so this may be repeated.
        """
        ended: dict[tuple[int, Permit], list[Pass]] = defaultdict(list)
        for item in passes:
            ended[item.shard, item.permit].append(item)
        calls = [
            (shard, [_ends(items[i : i + _MOST], permit)])
            for (shard, permit), items in ended.items()
            if permit is not Permit.HELD
            for i in range(0, len(items), _MOST)
        ]
        self._run(_GIVE, calls)

    def release(self, passes: Iterable[Pass]) -> None:
        """Give passes back for which certainly no call was made."""
        unused = list(passes)
        for item in unused:
            item.unused()
        self.commit(unused)

    async def _decided(self, account: str) -> Answer:
        """Ask for one permit; who is cancelled meanwhile gives back what comes all the same."""
        asking = asyncio.ensure_future(asyncio.to_thread(self.decide, {account: 1}))
        try:
            return (await asyncio.shield(asking))[account]
        except asyncio.CancelledError:
            asking.add_done_callback(self._unwanted)
            raise

    def _unwanted(self, asked: "asyncio.Future[dict[str, Answer]]") -> None:
        if not asked.cancelled() and asked.exception() is None:
            passes = [item for answer in asked.result().values() for item in answer.passes]
            asked.get_loop().run_in_executor(None, self.release, passes)

    def _questions(
        self, names: Iterable[str], wanted: Mapping[str, int]
    ) -> Iterable[tuple[int, list[_Group]]]:
        """Group accounts by shard, and there by what is asked."""
        alike: dict[tuple[int, int, int, float], list[str]] = defaultdict(list)
        limits, shard = self._limits, self._shards.shard
        for name in names:
            limit = limits(name)
            alike[shard(name), wanted[name], limit.count, limit.window_s].append(name)
        groups: dict[int, list[_Group]] = defaultdict(list)
        for (place, number, count, window_s), members in alike.items():
            bounds.whole("wanted", number, 0)
            limit = bounds.limit(Limits(count, window_s), self._longest_s)
            groups[place].append((number, limit, members))
        return groups.items()

    def _answers(
        self, shard: int, groups: Sequence[_Group], answer: Sequence[Any]
    ) -> dict[str, Answer]:
        if answer[0] != b"OK":
            wait = answer[2] / 1000 if answer[0] == b"HOLD" else None
            names = (name for _, _, names in groups for name in names)
            return dict.fromkeys(names, Answer((), wait))
        _, now, serial, *less = answer
        short = dict(zip(less[::3], zip(less[1::3], less[2::3], strict=True), strict=True))
        most = max(min(number, limit.count) for number, limit, _ in groups)
        handles = [(now + self._lease_ms, (serial + i) % _SERIALS + 1) for i in range(most)]
        found, k, end = {}, 0, self.commit
        for number, _, names in groups:
            plenty = number, 0
            for name in names:
                k += 1
                granted, wait = short.get(k, plenty)
                passes = [Pass(name, handle, shard, end) for handle in handles[:granted]]
                found[name] = Answer(tuple(passes), None if wait < 0 else wait / 1000)
        return found

    def _inspect(self, answers: Sequence[Any], sent: float, found: Mapping[str, Answer]) -> None:
        if not answers:
            return
        stepped = any(answer[0] == b"STEP" for answer in answers)
        if self._watch.jumped(max(answer[1] for answer in answers), sent) or stepped:
            self._rest()
            self.release(item for answer in found.values() for item in answer.passes)
            raise StepError("Redis's clock jumped forward; nothing is granted for one window")

    def _rest(self) -> None:
        self._watch.forget()
        self._shards.run(_HOLD, [(shard, [self._rest_ms]) for shard in range(self._count)])

    def _run(self, parts: Sequence[str], calls: Sequence[tuple[int, Sequence[Any]]]) -> list[Any]:
        """Run a script in several shards; another server's memory is not believed."""
        try:
            if self._shards.run_id is None:
                self._shards.run_id = self._shards.server_id()
            return self._shards.run(parts, calls)
        except ChangedServerError:
            self._shards.run_id = None
            self._rest()
            return self._run(parts, calls)


def _packed(head: list[int], groups: Sequence[_Group]) -> str:
    names = [name for _, _, names in groups for name in names]
    kinds = [(len(its), limit.count, limit.window_ms, number) for number, limit, its in groups]
    return json.dumps([*head, names, kinds])


def _ends(items: Sequence[Pass], permit: Permit) -> str:
    """Name the accounts by what Redis knows their permits by: many have the same."""
    alike: dict[tuple[int, int], list[str]] = defaultdict(list)
    for item in items:
        alike[item.handle].append(item.account)
    return json.dumps([permit is Permit.SPENT, [(*handle, its) for handle, its in alike.items()]])


def _pause(answer: Answer, ends: float | None, account: str) -> float:
    """How long to wait before asking again."""
    wait = POLL_S if answer.wait_s is None else max(0.001, answer.wait_s)
    if ends is None:
        return wait
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"no permit for {account} in time")
    return min(wait, left)
