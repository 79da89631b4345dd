"""The processes: puts a sender or a relay together from the settings and runs it until stopped.

SIGTERM and SIGINT finish what is under way. Not here: the work itself (`sender`, `relay`).
"""

import asyncio
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TextIO

from huntaze_pipeline.clock import Clock
from huntaze_pipeline.delivery.accounts import Directory
from huntaze_pipeline.delivery.breaker import Breaker, Tuning
from huntaze_pipeline.delivery.chronometer import Chronometer
from huntaze_pipeline.delivery.circuit import BooksBreaker
from huntaze_pipeline.delivery.journal import Journal
from huntaze_pipeline.delivery.outfit import Options, Parts
from huntaze_pipeline.delivery.platforms.base import Platform
from huntaze_pipeline.delivery.platforms.directory import platforms as open_platforms
from huntaze_pipeline.delivery.queue import Queue
from huntaze_pipeline.delivery.quotas import Quotas, read
from huntaze_pipeline.delivery.ringing import Ringing
from huntaze_pipeline.delivery.rollout import Rollout
from huntaze_pipeline.delivery.scripts import connect
from huntaze_pipeline.delivery.sender import Sender
from huntaze_pipeline.delivery.shards import RedisLimiter
from huntaze_pipeline.delivery.sqs import SqsQueue
from huntaze_pipeline.delivery.standby import Breakers, Standby
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.people import PLATFORMS
from huntaze_pipeline.store.session import Store

RELAY_POLL_S = 0.2
TURN_S = 0.001
"""How long a thread of a sender may compute while its loop waits: each of its turns would wait so
long, and calls are begun and answered in its turns."""


def parts(
    settings: Settings,
    *,
    store: Store | None = None,
    queue: Queue | None = None,
    platforms: Mapping[str, Platform] | None = None,
    quotas: Callable[[], Quotas] | None = None,
    clock: Clock | None = None,
    out: TextIO | None = sys.stdout,
    tuning: Tuning | None = None,
) -> Parts:
    """Put together what a sender needs; anything given is used instead of what settings say."""
    worker = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    quotas = quotas or partial(read, settings.rules_dir)
    store, limiter, directory = counters(settings, store, quotas())
    clock = clock or Chronometer()
    journal = Journal(worker, clock, out)
    return Parts(
        store=store,
        limiter=limiter,
        queue=queue or SqsQueue(settings, strange=journal.strange),
        platforms=open_platforms(settings) if platforms is None else platforms,
        directory=directory,
        breaker=Breakers(
            Breaker(connect(settings), worker, tuning),
            BooksBreaker(store, worker, tuning),
            limiter,
        ),
        clock=clock,
        worker=worker,
        journal=journal,
        rollout=Rollout.of(settings),
        quotas=quotas,
    )


def counters(
    settings: Settings,
    store: Store | None = None,
    quotas: Quotas | None = None,
) -> tuple[Store, Standby, Directory]:
    """Put together the limiter and what it reads."""
    store, quotas = store or Store(settings), quotas or read(settings.rules_dir)
    directory = Directory(store, quotas)
    limiter = Standby(RedisLimiter(connect(settings), pools=PLATFORMS), store, directory)
    limiter.share(quotas.totals)
    return store, limiter, directory


async def run(made: Parts, options: Options | None = None, *, until_idle: bool = False) -> bool:
    """Run a sender in this process; SIGTERM and SIGINT let it finish and return.

    Returns:
        Whether all of its threads have ended.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError, RuntimeError):  # not in the main thread
            loop.add_signal_handler(number, stop.set)
    sender = Sender(made, options)
    try:
        await sender.run(stop, until_idle=until_idle)
    finally:
        for platform in made.platforms.values():
            await platform.close()
        close(made)
    return not sender.stuck


def send(settings: Settings, options: Options | None = None, *, until_idle: bool = False) -> None:
    """Run a sender made from the settings; returns when it was told to stop or is idle.

    With a thread that waits for a silent server the process ends here and now: Python would wait
    for it at the end. What it was doing is known to the books, as after a kill.
    """
    sys.setswitchinterval(TURN_S)
    with asyncio.Runner(loop_factory=_loop()) as runner:
        ended = runner.run(run(parts(settings), options, until_idle=until_idle))
    if not ended:
        sys.stdout.flush()
        os._exit(0)


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the faster event loop where there is one."""
    with suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


def relay_until(settings: Settings, stop: threading.Event, *, once: bool = False) -> int:
    """Publish what is due, again and again, until `stop` is set; return how many messages moved.

    A service that is away is waited for, unless it is done only once.
    """
    made = parts(settings, platforms={})
    ringing = Ringing(made, stop, RELAY_POLL_S)
    try:
        if once:
            while ringing.turn():
                pass
        else:
            other = threading.Thread(target=ringing.overtake, daemon=True)
            other.start()
            ringing.publish()
            other.join()
    finally:
        close(made)
    return ringing.moved


def close(made: Parts) -> None:
    """Release connections."""
    made.limiter.close()
    made.breaker.close()
    if isinstance(made.queue, SqsQueue):
        made.queue.close()
