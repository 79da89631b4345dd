"""The end of a grant: results into the books first, then permits and breakers in Redis.

Two loops that work on whatever has gathered. Not here: what an outcome means (`verdicts`).
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from huntaze_pipeline.delivery import results
from huntaze_pipeline.delivery.intents import Intent
from huntaze_pipeline.delivery.limiter import Grant, Permit, Settlement
from huntaze_pipeline.delivery.outfit import Parts
from huntaze_pipeline.delivery.platforms.base import Outcome
from huntaze_pipeline.delivery.results import Result
from huntaze_pipeline.delivery.stamina import Stamina
from huntaze_pipeline.delivery.verdicts import resolve

RESULTS = 500
SETTLEMENTS = 50
_T = TypeVar("_T")


@dataclass(slots=True)
class Call:
    """A permit and the intent that goes with it."""

    grant: Grant
    intent: Intent
    deadline: float
    """Monotonic: the call must be over by then."""


@dataclass(slots=True)
class _Answer:
    """What came of a call."""

    call: Call
    outcome: Outcome | None
    """None: it was not made."""
    took_s: float
    ended: float = field(default_factory=time.monotonic)


_Ended = tuple[list[Settlement], dict[str, list[int]]]
"""Permits to settle, and (good, bad) calls a platform."""


class Closing:
    """What has been granted and not been settled yet."""

    def __init__(self, parts: Parts, stamina: Stamina) -> None:
        self._p = parts
        self._s = stamina
        self.active = 0
        """Grants under way."""
        self._unsettled = 0
        self._done: asyncio.Queue[_Answer] = asyncio.Queue()
        self._ended: asyncio.Queue[_Ended] = asyncio.Queue()

    @property
    def busy(self) -> int:
        """How much is not settled."""
        return self.active + self._unsettled

    def answered(self, call: Call, outcome: Outcome | None, took_s: float) -> None:
        """Hand in a call's outcome; None when it was not made."""
        self._done.put_nowait(_Answer(call, outcome, took_s))

    def give_back(self, settlements: list[Settlement]) -> None:
        """Hand in grants for which there is no intent."""
        self._end(settlements, {}, len(settlements))

    async def write(self) -> None:
        """Commit results in the books, for ever."""
        while True:
            batch = await _gather(self._done, RESULTS)
            unsent = [answer.call for answer in batch if answer.outcome is None]
            if unsent:
                back = [call.intent for call in unsent]
                await self._s.steady("release", results.release, self._p.store, back)
            made = [(answer, answer.outcome) for answer in batch if answer.outcome is not None]
            found = [self._resolved(answer.call.intent, outcome) for answer, outcome in made]
            if found:
                await self._commit(found, [answer.took_s for answer, _ in made])
            settlements = [Settlement(call.grant, Permit.UNUSED, 0.0) for call in unsent]
            settlements += [
                _settlement(answer, result) for (answer, _), result in zip(made, found, strict=True)
            ]
            self._end(settlements, _health(found), len(batch))

    async def settle(self) -> None:
        """Settle permits and tell the breakers, for ever."""
        while True:
            batch = await _gather(self._ended, SETTLEMENTS)
            settlements = [s for part, _ in batch for s in part]
            await self._s.steady("settle", self._p.limiter.commit, settlements)
            health: dict[str, list[int]] = defaultdict(lambda: [0, 0])
            for _, part in batch:
                for platform, (good, bad) in part.items():
                    health[platform][0] += good
                    health[platform][1] += bad
            if health:
                told = {platform: (good, bad) for platform, (good, bad) in health.items()}
                await self._s.steady("breaker", self._p.breaker.report, told)
            self._unsettled -= len(batch)

    async def _commit(self, found: list[Result], took: list[float]) -> None:
        now = self._p.clock()
        kept = await self._s.steady("results", results.commit, self._p.store, found, now=now)
        self._p.journal.sent(found, took, kept)

    def _resolved(self, intent: Intent, outcome: Outcome) -> Result:
        resolution = resolve(
            outcome, message_id=intent.outgoing.message_id, fence=intent.fence,
            attempts=intent.attempts,
            capabilities=self._p.platforms[intent.platform].capabilities,
        )  # fmt: skip
        return Result(intent, outcome, resolution)

    def _end(self, settlements: list[Settlement], health: dict[str, list[int]], ended: int) -> None:
        if settlements:
            self.active -= ended
            self._unsettled += 1
            self._ended.put_nowait((settlements, health))


async def _gather(queue: "asyncio.Queue[_T]", most: int) -> list[_T]:
    """Wait for one item and take what else is there."""
    batch = [await queue.get()]
    while len(batch) < most and not queue.empty():
        batch.append(queue.get_nowait())
    return batch


def _settlement(answer: _Answer, result: Result) -> Settlement:
    r = result.resolution
    return Settlement(answer.call.grant, r.permit, r.wait_s, r.block_s, answer.ended)


def _health(results: Sequence[Result]) -> dict[str, list[int]]:
    health: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for result in results:
        if result.resolution.healthy is not None:
            health[result.intent.platform][not result.resolution.healthy] += 1
    return dict(health)
