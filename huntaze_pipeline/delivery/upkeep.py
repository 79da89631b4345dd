"""What a sender does besides sending: reap, follow limits and time, sweep up, know when idle."""

import asyncio
import threading
from datetime import timedelta

from huntaze_pipeline.delivery import epoch, intents, reaper
from huntaze_pipeline.delivery.outfit import Options, Parts
from huntaze_pipeline.delivery.stamina import Stamina
from huntaze_pipeline.errors import RuleError

REFRESH_S = 15.0
LOOK_S = 2.0


class Upkeep:
    """The slow loops of one sender."""

    def __init__(
        self, parts: Parts, options: Options, stamina: Stamina, halt: threading.Event
    ) -> None:
        self._p = parts
        self._o = options
        self._s = stamina
        self._halt = halt

    async def reap(self) -> None:
        """Find out what became of claims whose lease ended."""
        while not self._halt.is_set():
            lapsed = await self._s.steady("reap", reaper.take, self._p.store)
            found = await reaper.ask(
                lapsed, self._p.platforms, timeout_s=self._o.timeout_s, give_up_s=self._o.give_up_s
            )
            now = self._p.clock()
            await self._s.steady("reap", reaper.settle, self._p.store, found, now=now)
            if len(lapsed) < reaper.BATCH:
                await asyncio.sleep(min(5.0, self._o.lease_s / 4))

    async def keep(self) -> None:
        """Follow changed limits; look for queued rows that no queue knows any more."""
        while not self._halt.is_set():
            await asyncio.sleep(min(REFRESH_S, self._o.sweep_s))
            await self._s.steady("clock", self._p.set_clock)
            self._follow()
            changed = await self._s.steady("accounts", self._p.directory.changed)
            if changed:
                await self._s.steady("accounts", self._p.limiter.configure, changed)
            await self._s.steady("sweep", self._sweep)

    async def watch(self) -> None:
        """While the books do the limiting, look for Redis; hand over once all senders see it."""
        while not self._halt.is_set():
            await asyncio.sleep(LOOK_S)
            limiter = self._p.limiter
            if limiter.away and await self._s.steady("limiter", limiter.returns):
                await self._s.recover()

    def pending(self) -> bool:
        """Whether a message is on its way (or due to be, when this sender relays too)."""
        with self._p.store.worker() as connection:
            return intents.pending(connection, self._p.clock(), decided=self._o.relay)

    def _follow(self) -> None:
        """Read the policies' limits again; while their file holds faults, those before stay."""
        try:
            quotas = self._p.quotas()
        except (RuleError, OSError) as error:
            self._p.journal.pause("policies", error)
            return
        self._p.limiter.share(quotas.totals)
        self._p.directory.quotas = quotas

    def _sweep(self) -> None:
        limiter = self._p.limiter
        if limiter.turn("sweep", self._p.worker, max(1, round(self._o.sweep_s))):
            before = self._p.clock() - timedelta(seconds=self._o.sweep_s)
            epoch.repark(self._p.store, limiter.redis, self._p.directory, before)
