"""`RateLimiter`: the exact limiter as a library, for any program that calls a limited service.

Here: permits for calls that the caller makes itself. Not here: queues of messages (`shards`), nor
the promise's reasons (`limiter`). See docs/limiter.md.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import redis

from huntaze_pipeline.delivery.limiter import Limits, Permit, StepError
from huntaze_pipeline.delivery.shards import SEP, SHARDS, ChangedServerError, RedisLimiter
from huntaze_pipeline.delivery.watch import Watch

POLL_S = 0.05
"""How often to look again when it hangs on calls that have not ended."""
_MOST = 500
"""Accounts, or permits, a script call: more would hold up others on the server."""


@dataclass(slots=True)
class Pass:
    """The right to one call, from before the call until it has ended.

    As a context manager it ends with the block: the call was made, even when it raised, unless
    `unused` or `lost` said otherwise.
    """

    account: str
    handle: str
    _limiter: "RateLimiter"
    permit: Permit = Permit.SPENT

    def unused(self) -> None:
        """Say that the call was certainly not made: the permit is free again."""
        self.permit = Permit.UNUSED

    def lost(self) -> None:
        """Say that the answer was lost: the call may still arrive, until the lease ends."""
        self.permit = Permit.HELD

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._limiter.commit([self])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self._limiter.commit, [self])


@dataclass(frozen=True, slots=True)
class Answer:
    """What one account got."""

    passes: tuple[Pass, ...]
    wait_s: float | None
    """Seconds until the next permit; None when that hangs on calls that have not ended."""


class RateLimiter:
    """Permits from one Redis for many accounts. Safe to use from several threads and processes."""

    def __init__(
        self,
        client: redis.Redis,
        limits: Limits | Callable[[str], Limits],
        *,
        namespace: str = "limiter",
        lease_s: float = 30.0,
        longest_s: float = 60.0,
        shards: int = SHARDS,
        trust_empty: bool = False,
    ) -> None:
        """Use a Redis (6.2 or newer, or Valkey).

        Args:
            client: the connection; it belongs to the limiter from now on.
            limits: of every account, or of each; asked at each decision, so they may change.
            namespace: how all keys begin.
            lease_s: longer than any call may take; a permit that is never ended counts so long.
            longest_s: the longest window in use; claims rest so long when Redis's memory is in
                doubt.
            shards: hash tags over which accounts are spread; the same in every process.
            trust_empty: an empty Redis means that no call was made, instead of a lost memory.
        """
        self._shards = RedisLimiter(client, namespace=namespace, shards=shards)
        self._limits = limits if callable(limits) else lambda _: limits
        self._lease_ms = round(lease_s * 1000)
        self._rest_ms = round(longest_s * 1000) + self._lease_ms
        self._count = shards
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
            answer = (await asyncio.to_thread(self.decide, {account: 1}))[account]
            if answer.passes:
                return answer.passes[0]
            await asyncio.sleep(_pause(answer, ends, account))

    def decide(self, wanted: Mapping[str, int]) -> dict[str, Answer]:
        """Take up to so many permits of each account, all in one round trip.

        Raises:
            StepError: Redis's clock jumped; nothing is granted for a window.
        """
        token = uuid.uuid4().hex[:12] + "-"
        asked: dict[int, list[str]] = defaultdict(list)
        for account in wanted:
            asked[self._shards.shard(account)].append(account)
        batches = [
            (shard, names[i : i + _MOST])
            for shard, names in asked.items()
            for i in range(0, len(names), _MOST)
        ]
        head = [self._watch.latest(), self._lease_ms, self._unknown_ms]
        calls = [
            (shard, [*head, f"{token}{n}-", *self._words(names, wanted)])
            for n, (shard, names) in enumerate(batches)
        ]
        sent = time.monotonic()
        answers = self._run("take", calls)
        found: dict[str, Answer] = {}
        for n, ((_, names), answer) in enumerate(zip(batches, answers, strict=True)):
            found |= self._answers(names, answer, f"{token}{n}-")
        self._inspect(answers, sent, found)
        return found

    def commit(self, passes: Iterable[Pass]) -> None:
        """End passes, all in one round trip: each as its `permit` says, by default as made."""
        ended: dict[int, list[Any]] = defaultdict(list)
        for item in passes:
            ended[self._shards.shard(item.account)] += [item.handle, item.permit.value]
        calls = [
            (shard, words[i : i + 2 * _MOST])
            for shard, words in ended.items()
            for i in range(0, len(words), 2 * _MOST)
        ]
        self._run("give", calls)

    def release(self, passes: Iterable[Pass]) -> None:
        """Give passes back for which certainly no call was made."""
        unused = list(passes)
        for item in unused:
            item.unused()
        self.commit(unused)

    def _words(self, names: Sequence[str], wanted: Mapping[str, int]) -> list[Any]:
        words: list[Any] = []
        for name in names:
            limit = self._limits(name)
            words += [name, f"{limit.count}:{limit.window_ms}:", wanted[name]]
        return words

    def _answers(
        self, names: Sequence[str], answer: Sequence[Any], token: str
    ) -> dict[str, Answer]:
        if answer[0] != b"OK":
            wait = answer[2] / 1000 if len(answer) > 2 else None
            return dict.fromkeys(names, Answer((), wait))
        found, serial = {}, 0
        for i, name in enumerate(names):
            granted, wait = answer[2 + 2 * i], answer[3 + 2 * i]
            head = f"{name}{SEP}{SEP}{SEP}{token}"
            passes = tuple(Pass(name, f"{head}{serial + n + 1}", self) for n in range(granted))
            serial += granted
            found[name] = Answer(passes, None if wait < 0 else wait / 1000)
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
        self._shards.run("hold", [(shard, [self._rest_ms]) for shard in range(self._count)])

    def _run(self, name: str, calls: Sequence[tuple[int, Sequence[Any]]]) -> list[Any]:
        """Run a script in several shards; another server's memory is not believed."""
        try:
            if self._shards.run_id is None:
                self._shards.run_id = self._shards.server_id()
            return self._shards.run(name, calls)
        except ChangedServerError:
            self._shards.run_id = None
            self._rest()
            return self._run(name, calls)


def _pause(answer: Answer, ends: float | None, account: str) -> float:
    """How long to wait before asking again."""
    wait = POLL_S if answer.wait_s is None else max(0.001, answer.wait_s)
    if ends is None:
        return wait
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError(f"no permit for {account} in time")
    return min(wait, left)
