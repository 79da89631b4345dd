"""One run from beginning to end: workers, storm, drain, verdict.

Everything is its own: a home, servers, platforms; nothing of it is left running.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError

from huntaze_pipeline.errors import StoreError
from huntaze_pipeline.local import keeper, stack, stage
from huntaze_pipeline.local.chaos import place, verdict
from huntaze_pipeline.local.chaos.clocks import Clocks
from huntaze_pipeline.local.chaos.crew import Crew
from huntaze_pipeline.local.chaos.links import Switchboard
from huntaze_pipeline.local.chaos.place import Place
from huntaze_pipeline.local.chaos.schedule import CALLER, SERVERS, schedule
from huntaze_pipeline.local.chaos.servers import Servers
from huntaze_pipeline.local.chaos.storm import Storm
from huntaze_pipeline.local.chaos.traps import Traps
from huntaze_pipeline.local.chaos.worker import OPTIONS
from huntaze_pipeline.local.chaos.world import World
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.local.process import Launch
from huntaze_pipeline.settings import Settings

WORKERS = ("sender-1", "sender-2", "sender-3", "relay-1", "relay-2", CALLER)
WRITING = 0.6
"""The caller writes its rows in this share of the storm."""
START_S = 60.0
SPARE_S = 60.0
"""How long the drain may take beyond what limits and leases explain."""
TELL_S = 10.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for."""

    world: World
    seconds: float
    """How long things go wrong."""
    seed: int
    keep: bool = False
    """Keep the home even when all is well."""


def run(known: Settings, order: Order, say: Say) -> dict[str, Any]:
    """Run it; return the line with the verdict. A home whose verdict misses a mark is kept."""
    with stage.folder(known, "chaos") as home:
        say("starting PostgreSQL, Redis, SQS and the platforms")
        with place.opened(home, order.world, order.seed) as here:
            line = _played(here, order, say)
        stack.stop(known.model_copy(update={"home": home}))
        if order.keep or verdict.missed(line, order.world):
            say(f"everything that it left is in {home}")
        else:
            keeper.erase(Folder(home))
    return line


def _played(here: Place, order: Order, say: Say) -> dict[str, Any]:
    home, servers = here.folder.home, Servers(here.folder, here.ready)
    ports = {name: partial(servers.port, name) for name in SERVERS}
    with closing(Switchboard(ports, WORKERS)) as board:
        crew = Crew(home / "crew", _launches(here, order, board), say)
        storm = Storm(crew, servers, board, Traps(home / "traps"), Clocks(home / "clocks"))
        try:
            _wait(START_S, lambda: bool(here.arrivals()))
            faults = schedule(order.seed, order.seconds, WORKERS)
            storm.rage(faults, order.seconds, _telling(here, say))
            left = _drain(here, order, crew, say)
        finally:
            servers.calm()
            crew.stop()
    world = order.world
    line = verdict.judge(here.evidence(world), world)
    return line | {
        "kills": crew.killed + servers.kills,
        "crashes": crew.crashes,
        "undrained": left,
        "points": storm.points,
        "faults": dict(sorted(storm.faults.items())),
        "seed": order.seed,
    }


def _launches(here: Place, order: Order, board: Switchboard) -> dict[str, Launch]:
    """Say how to start each worker's cradle, its links to the servers in its environment."""
    writing = {"began": time.time(), "lasts_s": order.seconds * WRITING}
    task = json.dumps({"world": asdict(order.world), **writing})
    module = [sys.executable, "-P", "-m", "huntaze_pipeline.local.chaos.worker"]
    return {
        name: Launch(
            [*module, name, str(here.folder.home), task],
            here.folder.log(name),
            env=stack.environment(_linked(here.ready, name, board)) | {"PYTHONUNBUFFERED": "1"},
            cwd=Path.cwd(),
        )
        for name in WORKERS
    }


def _linked(ready: Settings, name: str, board: Switchboard) -> Settings:
    """Return settings whose servers are this worker's own links to them."""

    def moved(address: str, server: str) -> str:
        head, _, rest = address.rpartition(":")
        _, slash, path = rest.partition("/")
        return f"{head}:{board.port(name, server)}{slash}{path}"

    assert ready.database_url is not None
    assert ready.redis_url is not None
    assert ready.aws_endpoint_url is not None
    return ready.model_copy(
        update={
            "database_url": SecretStr(moved(ready.database_url.get_secret_value(), "postgres")),
            "redis_url": SecretStr(moved(ready.redis_url.get_secret_value(), "redis")),
            "aws_endpoint_url": moved(ready.aws_endpoint_url, "sqs"),
        }
    )


def _drain(here: Place, order: Order, crew: Crew, say: Say) -> int:
    """Let everything end now that nothing goes wrong; return how many messages did not."""
    here.calm()
    world = order.world
    allowed = (
        (world.rounds + 2) * world.window_s + 2 * OPTIONS.lease_s + OPTIONS.give_up_s + SPARE_S
    )
    tell = _every(TELL_S, lambda: say(f"calm: {_open(here, world)} messages to go"))

    def over() -> bool:
        crew.look()
        tell()
        return _open(here, world) == 0

    _wait(allowed, over)
    left = _open(here, world)
    if left:
        say(f"{left} messages did not end within {allowed:.0f} s: {here.states()}")
    return left


def _open(here: Place, world: World) -> int:
    """Return how many messages have not ended; all of them while PostgreSQL is away."""
    try:
        states = here.states()
    except (SQLAlchemyError, StoreError):
        return world.messages
    return world.messages - sum(states.get(state, 0) for state in verdict.ENDED)


def _telling(here: Place, say: Say) -> Callable[[float], None]:
    """Return what says now and then how the storm goes."""
    left = [0.0]
    tell = _every(
        TELL_S,
        lambda: say(f"storm: {left[0]:.0f} s to go, {len(here.arrivals())} calls have arrived"),
    )

    def told(seconds: float) -> None:
        left[0] = seconds
        tell()

    return told


def _every(seconds: float, work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that does the work only so often."""
    due = [0.0]

    def maybe() -> None:
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + seconds
            work()

    return maybe


def _wait(seconds: float, done: Callable[[], bool]) -> None:
    """Wait until it is done, or for so long."""
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.5)
