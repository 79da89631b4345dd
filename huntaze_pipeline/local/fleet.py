"""`huntaze up`: everything at once on one machine, kept running until it is told to stop."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import lease, ports, programs, stack
from huntaze_pipeline.local.folder import Folder, State
from huntaze_pipeline.local.process import Watcher
from huntaze_pipeline.local.server import Server
from huntaze_pipeline.settings import Settings

STOP_S = 6.0
PAUSE_S = 0.1
LOOK_S = 1.0
Say = Callable[[str], None]


class Fleet:
    """Our programs, each started again when it dies."""

    def __init__(self, crew: list[programs.Program], wanted: dict[str, int], say: Say) -> None:
        self._say = say
        self._watcher = Watcher()
        self.members = [
            Server(program, self._watcher, wanted.get(program.name), patient=True)
            for program in crew
        ]
        self._told: dict[str, str] = {}

    def start(self) -> None:
        """Start them all."""
        for member in self.members:
            member.want()

    def tick(self) -> None:
        """Keep each one running; tell every change of state in one line."""
        for member in self.members:
            member.tick()
            self._tell(member)

    def stop(self) -> None:
        """End them in reverse order, all within `STOP_S`."""
        deadline = time.monotonic() + STOP_S
        for member in reversed(self.members):
            member.ask()
        for member in reversed(self.members):
            member.join(max(0.5, deadline - time.monotonic()))
            self._tell(member)
        self._watcher.close()

    def report(self) -> dict[str, State]:
        """Return what `huntaze status` shows of them."""
        return {
            member.recipe.name: member.report() | {"address": _address(member)}
            for member in self.members
        }

    def _tell(self, member: Server) -> None:
        name, status = member.recipe.name, member.status
        if self._told.get(name) != status:
            self._told[name] = status
            self._say(
                f"{system_clock():%H:%M:%S} {name:<10} {status:<9} {_detail(member)}".rstrip()
            )


def up(settings: Settings, ready: Settings, stopped: Callable[[], bool], say: Say, *,
       with_dagster: bool = True, with_simulator: bool = True) -> None:  # fmt: skip
    """Run the programs on services that are ready, until `stopped` says so.

    Args:
        settings: as the environment has them; what they lack is kept alive here too.
        ready: the same with every address filled in.
        stopped: asked ten times a second.
        say: takes one line a change of state.
        with_dagster: leave Dagster out when false.
        with_simulator: never start the simulator when false.

    Raises:
        ServiceError: another `huntaze up` runs in this home.
    """
    folder = Folder(ready.root)
    folder.prepare()
    if ready.webhook_secret is None:
        secret = SecretStr(folder.secrets()["webhook"])
        ready = ready.model_copy(update={"webhook_secret": secret})
    with _only_one(folder):
        crew, wanted = _crew(settings, ready, folder, with_dagster, with_simulator)
        fleet = Fleet(crew, wanted, say)
        try:
            fleet.start()
            _watch(fleet, folder, settings, stopped, say)
        finally:
            fleet.stop()
            _record(folder, None)


def _crew(
    settings: Settings, ready: Settings, folder: Folder, dagster: bool, simulator: bool
) -> tuple[list[programs.Program], dict[str, int]]:
    """Choose ports and put the programs together, in the order of their start."""
    wanted = {"api": ports.choose(ready.api_port), "dagster": ports.choose(ready.dagster_port)}
    ready = ready.model_copy(update={"api_port": wanted["api"], "dagster_port": wanted["dagster"]})
    crew: list[programs.Program] = []
    if simulator and programs.simulated(settings):
        wanted["simulator"], smtp_port = ports.free(), ports.free()
        ready = programs.with_simulator(ready, wanted["simulator"], smtp_port)
        crew.append(programs.simulator(ready, folder, smtp_port))
    crew += [programs.api(ready, folder), programs.sender(ready, folder)]
    if dagster:
        crew.append(programs.dagster(ready, folder))
    return crew, wanted


def _watch(
    fleet: Fleet, folder: Folder, settings: Settings, stopped: Callable[[], bool], say: Say
) -> None:
    look = 0.0
    while not stopped():
        fleet.tick()
        if time.monotonic() >= look:
            look = time.monotonic() + LOOK_S
            _record(folder, fleet)
            _mend(settings, say)
        time.sleep(PAUSE_S)


def _mend(settings: Settings, say: Say) -> None:
    """Bring the embedded servers back, on their old ports, when their keeper was killed."""
    try:
        if revived := stack.revive(settings):
            say(f"{system_clock():%H:%M:%S} {'stack':<10} running   again: {', '.join(revived)}")
    except ServiceError as error:
        say(f"{system_clock():%H:%M:%S} {'stack':<10} failed    {error}")


@contextmanager
def _only_one(folder: Folder) -> Iterator[None]:
    lock = lease.Lock(folder.stack / "up.lock")
    try:
        if not lock.take():
            raise ServiceError(
                f"`huntaze up` runs already in {folder.home}; see `huntaze status`, end it with "
                "`huntaze down`, or set HUNTAZE_HOME to another folder"
            )
        yield
    finally:
        lock.close()


def _record(folder: Folder, fleet: Fleet | None) -> None:
    """Leave for `huntaze status` what runs, or nothing."""
    path = folder.stack / "up.json"
    if fleet is None:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"pid": os.getpid(), "programs": fleet.report()}))
    fresh.replace(path)


def recorded(folder: Folder) -> State:
    """Return the pid and programs of the `huntaze up` that runs in this home, or nothing."""
    if not lease.taken(folder.stack / "up.lock"):
        return {}
    try:
        return json.loads((folder.stack / "up.json").read_text())
    except (OSError, ValueError):
        return {}


def stop(settings: Settings) -> bool:
    """Tell the `huntaze up` of this home to stop and wait for it; say whether there was one.

    Raises:
        ServiceError: it does not stop.
    """
    folder = Folder(settings.root)
    lock = folder.stack / "up.lock"
    if not (pid := recorded(folder).get("pid")):
        return False
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 2 * STOP_S
    while lease.taken(lock):
        if time.monotonic() > deadline:
            raise ServiceError(f"`huntaze up` (pid {pid}) does not stop; see {folder.stack}")
        time.sleep(PAUSE_S)
    return True


def _address(member: Server) -> str | None:
    program = member.recipe
    return program.address(member.port) if isinstance(program, programs.Program) else None


def _detail(member: Server) -> str:
    if member.status == "running":
        pid = member.report()["pid"]
        return f"{_address(member) or ''} (pid {pid})".strip()
    if member.status == "failed":
        return f"{member.error}\n  its log: {member.recipe.log}"
    return "it ended; started again" if member.status == "waiting" else ""
