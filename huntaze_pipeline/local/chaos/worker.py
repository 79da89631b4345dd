"""`python -m huntaze_pipeline.local.chaos.worker`: a caller, relay or sender among traps.

The same parts and loops as in production; only times are shorter, so that a run is.
"""

import asyncio
import json
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from huntaze_pipeline import settings
from huntaze_pipeline.clock import Clock, system_clock
from huntaze_pipeline.delivery import outbox, worker
from huntaze_pipeline.delivery.chronometer import Chronometer
from huntaze_pipeline.delivery.outfit import Options
from huntaze_pipeline.delivery.ringing import Ringing
from huntaze_pipeline.delivery.stamina import AWAY
from huntaze_pipeline.local.chaos import cradle, traps
from huntaze_pipeline.local.chaos.clocks import Clocks
from huntaze_pipeline.local.chaos.traps import Traps
from huntaze_pipeline.local.chaos.world import World
from huntaze_pipeline.store.session import Store

OPTIONS = Options(
    concurrency=30, lease_s=8.0, timeout_s=2.0, margin_s=0.5, long_poll_s=2.0, sweep_s=20.0,
    give_up_s=20.0, drain_s=10.0,
)  # fmt: skip
CHUNK = 25
"""Rows that the caller writes at once."""


def send(mines: Traps, clock: Clock) -> None:
    """Run a sender."""
    made = worker.parts(settings.load(), clock=clock)
    traps.lay(mines, made, role="sender")
    asyncio.run(worker.run(made, OPTIONS))


def relay(mines: Traps, clock: Clock) -> None:
    """Run a relay."""
    made = worker.parts(settings.load(), platforms={}, clock=clock)
    traps.lay(mines, made, role="relay")
    halt = _told()
    Ringing(made, halt, OPTIONS.poll_s).publish()
    worker.close(made)


def call(mines: Traps, world: World, began: float, lasts_s: float) -> None:
    """Write the messages bit by bit; after a death, all again from the first."""
    store, halt = Store(settings.load()), _told()
    for first in range(0, world.messages, CHUNK):
        due = began + lasts_s * first / world.messages
        halt.wait(max(0.0, due - time.time()))
        while not halt.is_set():
            try:
                _write(store, mines, world, first)
                break
            except AWAY:
                halt.wait(0.5)


def _write(store: Store, mines: Traps, world: World, first: int) -> None:
    with store.worker() as connection:
        outbox.record(connection, world.decisions(first, first + CHUNK, system_clock()))
        mines.reach(1)
    mines.reach(2)


def _told() -> threading.Event:
    """Return what SIGTERM sets."""
    halt = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: halt.set())
    return halt


def main(name: str, folder: str, told: str) -> None:
    """Be the cradle of one worker; its name says what it does."""
    import boto3  # noqa: F401  for the forked, who would all import it

    home, given = Path(folder), dict[str, Any](json.loads(told))
    mines, world = Traps(home / "traps"), World(**given["world"])
    clock = Chronometer(Clocks(home / "clocks").of(name))
    role = {"sender": partial(send, mines, clock), "relay": partial(relay, mines, clock)}.get(
        name.partition("-")[0], partial(call, mines, world, given["began"], given["lasts_s"])
    )
    cradle.rock(home / "crew", name, role)


if __name__ == "__main__":
    main(*sys.argv[1:])
