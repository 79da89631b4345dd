"""The sender: parks what SQS rings for, claims for accounts, calls platforms, settles.

Any number of processes may run. Every step works on batches: one claim, one commit of intents, one
commit of results, one settlement for many messages. Blocking work runs in threads; the loop only
waits for platforms. A service that is away pauses what needs it, with growing waits, and nothing
else. Starting and stopping a process is `worker`.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any, NamedTuple

from huntaze_pipeline.delivery import intents
from huntaze_pipeline.delivery.closing import Call, Closing
from huntaze_pipeline.delivery.intake import Intake
from huntaze_pipeline.delivery.intents import Intent, Stop
from huntaze_pipeline.delivery.limiter import BANDS, Grant, Permit, Settlement
from huntaze_pipeline.delivery.outfit import Options, Parts
from huntaze_pipeline.delivery.platforms.base import Kind, Outcome
from huntaze_pipeline.delivery.ringing import Ringing
from huntaze_pipeline.delivery.stamina import AWAY, LOST, Stamina, growing
from huntaze_pipeline.delivery.upkeep import Upkeep

SLICE = 16
"""Calls begun in one go: an urgent one waits for this many, not for a whole batch."""
LOOK_S = 0.25
"""How often, while there is no room, high messages are looked for that no note announced."""
LATE_S = 0.1
"""A call that begins this long after its intent shows that the processor cannot keep up."""


class Sender:
    """Moves messages from the queues to the platforms until it is told to stop."""

    def __init__(self, parts: Parts, options: Options | None = None) -> None:
        self._p = parts
        self._o = options or Options()
        self._halt = threading.Event()
        self._urgent = threading.Event()
        """High messages were parked here since the last claim for them."""
        self._s = Stamina(parts, 9 + 3 * self._o.receivers, self._o.lease_s)
        self._upkeep = Upkeep(parts, self._o, self._s, self._halt)
        self._closing = Closing(parts, self._s)
        self.stuck = False
        """Whether a thread still waits for a silent server after the end."""
        self._open_batches = 0
        self._failures = 0
        """Batches in a row whose intents could not be written: claims wait longer and longer."""
        self._lag_s = 0.0
        """How late calls began of late."""
        self._wake_s: float | None = 0.0
        """How far the next free slot was at the last claim (0 before it); None: nothing waits."""
        self._fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event, *, until_idle: bool = False) -> None:
        """Work until `stop` is set, or until nothing is left to do; then finish calls under way."""
        claims = asyncio.create_task(self._claims())
        loops = [*self._loops(until_idle), _told(stop)]
        watched = {claims, *(asyncio.create_task(loop) for loop in loops)}
        try:
            done, _ = await asyncio.wait(
                {*watched, self._fault}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            self._halt.set()
            await self._drain(claims)
            for task in watched:
                task.cancel()
            await asyncio.gather(*watched, return_exceptions=True)
            self.stuck = not await self._s.close()

    def _loops(self, until_idle: bool) -> list[Coroutine[Any, Any, None]]:
        intake = Intake(self._p, self._o, self._halt, self._urgent)
        loops: list[Coroutine[Any, Any, None]] = [
            self._closing.write(), self._closing.settle(), self._upkeep.reap(),
            self._upkeep.keep(), self._upkeep.watch(),
        ]  # fmt: skip
        if self._p.queue is not None:
            loops += [
                self._s.listen(intake.receive, band, self._p.queue)
                for band in BANDS
                for _ in range(self._o.receivers)
            ]
        if self._o.relay:
            ringing = Ringing(self._p, self._halt, self._o.poll_s)
            loops += [self._s.run(ringing.publish), self._s.run(ringing.overtake)]
        if until_idle:
            loops.append(self._idle())
        return loops

    # -- claim and call -----------------------------------------------------------------------

    async def _claims(self) -> None:
        await self._s.recover()
        await self._s.steady("clock", self._p.set_clock)
        while not self._halt.is_set():
            room, urgent = await self._room()
            if self._failures:
                await asyncio.sleep(growing(self._failures))
            started = time.monotonic()
            self._urgent.clear()
            claimed = await self._s.steady(
                "claim", self._p.limiter.claim, room, lease_s=self._o.lease_s, urgent=urgent
            )
            for grants in _ranks(claimed.grants):
                self._closing.active += len(grants)
                self._open_batches += 1
                self._spawn(self._dispatch(grants, claimed.epoch, started))
            if urgent:
                continue
            self._wake_s = 0.0 if claimed.grants else claimed.wake_s
            if not claimed.grants:
                wake = self._o.poll_s if claimed.wake_s is None else claimed.wake_s
                await asyncio.sleep(min(self._o.poll_s, max(0.001, wake)))

    async def _room(self) -> "_Room":
        """Wait for free calls; return how many, and whether they are for high messages alone.

        A quarter of all makes a batch worth its commit. While the processor cannot keep up, one
        such batch at a time is under way and one waits: an urgent message would come behind
        whatever else was begun. For high messages there are places beyond.
        """
        batch, began = max(1, self._o.concurrency // 4), time.monotonic()
        while (free := self._free(batch)) < batch and not self._halt.is_set():
            waited = time.monotonic() - began
            beyond = self._beyond(waited)
            if beyond > 0:
                return _Room(beyond, urgent=True)
            if free > 0 and waited > 0.05:
                break
            await asyncio.sleep(0.005)
        return _Room(max(1, min(free, batch) if self._lag_s > LATE_S else free), urgent=False)

    def _beyond(self, waited: float) -> int:
        """How many high messages may be called for now, beyond all others."""
        if not (self._urgent.is_set() or waited > LOOK_S):
            return 0
        most = self._o.concurrency + self._o.reserve
        return min(self._o.reserve, most - self._closing.active)

    def _free(self, batch: int) -> int:
        most = self._o.concurrency if self._lag_s <= LATE_S else 2 * batch
        return min(most, self._o.concurrency) - self._closing.active

    async def _began(self, asked: float) -> None:
        """Note how late the last call of a batch began; a lag is forgotten bit by bit."""
        self._lag_s = max(time.monotonic() - asked, 0.8 * self._lag_s)

    async def _dispatch(self, grants: list[Grant], epoch: str, started: float) -> None:
        """Gates, intents, calls. Whatever happens, every grant is settled."""
        try:
            left, refused, answers = await self._s.run(self._passed, grants, epoch)
        except (*AWAY, *LOST) as error:
            # Nothing was called. If the intents were committed all the same, the reaper finds them.
            self._failures += 1
            self._p.journal.pause("intents", error)
            self._closing.give_back([Settlement(g, Permit.UNUSED, requeue_s=0.2) for g in grants])
            if isinstance(error, LOST):
                await self._s.recover()
            return
        finally:
            self._open_batches -= 1
        self._failures = 0
        deadline = started + self._o.lease_s - self._o.margin_s
        stops, asked = refused, time.monotonic()
        for n, (grant, answer) in enumerate(zip(left, answers, strict=True)):
            if isinstance(answer, Stop):
                stops.append(Settlement(grant, Permit.UNUSED, requeue_s=answer.wait_s))
                self._p.journal.stopped(grant, answer.reason)
            else:
                self._spawn(self._call(Call(grant, answer, deadline)))
            if n % SLICE == SLICE - 1:
                await asyncio.sleep(0)
        self._closing.give_back(stops)
        self._spawn(self._began(asked))

    def _passed(
        self, grants: list[Grant], epoch: str
    ) -> tuple[list[Grant], list[Settlement], list[Intent | Stop]]:
        """Pass grants through breakers and gates, in one go, for each wait for the loop adds up.

        Returns:
            Those that the breakers admit; the ends of the others; the gates' answers to the first.
        """
        left, refused = self._admitted(grants)
        answers = intents.commit(
            self._p.store, left, epoch=epoch, worker=self._p.worker, lease_s=self._o.lease_s,
            now=self._p.clock(),
        )  # fmt: skip
        return left, refused, answers

    def _admitted(self, grants: list[Grant]) -> tuple[list[Grant], list[Settlement]]:
        """Ask the breakers; the accounts of a platform that rests, rest too."""
        accounts = self._p.directory.of({g.account_id for g in grants})
        by: dict[str, list[Grant]] = defaultdict(list)
        for grant in grants:
            known = accounts.get(grant.account_id)
            by[known.platform if known else ""].append(grant)
        wanted = {p: len(g) for p, g in by.items() if p in self._p.platforms}
        allowed = self._p.breaker.admit(wanted) if wanted else {}
        kept, refused = list(by.get("", [])), []
        for platform, theirs in by.items():
            if not platform:
                continue
            calls = allowed[platform].calls if platform in allowed else 0
            rest = allowed[platform].rest_s if platform in allowed else 30.0
            kept += theirs[:calls]
            refused += [Settlement(g, Permit.UNUSED, 0, rest) for g in theirs[calls:]]
        return kept, refused

    async def _call(self, call: Call) -> None:
        platform = self._p.platforms[call.intent.platform]
        began = time.monotonic()
        if self._halt.is_set() or began + self._o.timeout_s > call.deadline:
            self._closing.answered(call, None, 0.0)
            return
        try:
            async with asyncio.timeout(self._o.timeout_s + 0.5):
                outcome = await platform.send(call.intent.outgoing, timeout_s=self._o.timeout_s)
        except TimeoutError:
            outcome = Outcome(Kind.UNKNOWN, detail="no answer in time")
        except Exception as error:
            outcome = Outcome(Kind.UNKNOWN, detail=f"adapter fault: {type(error).__name__}")
        self._closing.answered(call, outcome, time.monotonic() - began)

    # -- ends ---------------------------------------------------------------------------------

    async def _idle(self) -> None:
        """Return once nothing is left that this sender could still do."""
        quiet = 0
        while quiet < 2:
            await asyncio.sleep(self._o.poll_s)
            waiting = self._soon() and await self._s.steady("idle", self._upkeep.pending)
            quiet = 0 if self._busy or waiting else quiet + 1

    def _soon(self) -> bool:
        """Whether what waits is worth waiting for."""
        patience = self._o.patience_s
        return patience is None or (self._wake_s is not None and self._wake_s <= patience)

    @property
    def _busy(self) -> int:
        return self._closing.busy + self._open_batches

    async def _drain(self, claims: "asyncio.Task[None]") -> None:
        """Let the last claim and all calls end and write their results; give up after `drain_s`."""
        until = time.monotonic() + self._o.drain_s
        await asyncio.wait({claims}, timeout=self._o.drain_s)
        while self._busy:
            if time.monotonic() > until:
                self._p.journal.note(f"gave up {self._closing.active} messages that were under way")
                return
            await asyncio.sleep(0.01)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        """A fault of ours in a batch stops the sender; its messages are the reaper's."""
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._fault.done():
            self._fault.set_exception(error)


class _Room(NamedTuple):
    """Calls that may be begun."""

    calls: int
    urgent: bool
    """They are for high messages alone."""


def _ranks(grants: list[Grant]) -> list[list[Grant]]:
    """Part the high ones from the others: their intents do not wait for those of a large batch."""
    high = [g for g in grants if g.priority == "high"]
    rest = [g for g in grants if g.priority != "high"]
    return [part for part in (high, rest) if part]


async def _told(stop: asyncio.Event) -> None:
    await stop.wait()
