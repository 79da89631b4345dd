"""Puts the simulator together: sockets, the judge's own API, receipts, start and stop.

What platforms do is in the other modules; here is only who listens where.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local.simulator import behaviour, dialects, mailbox
from huntaze_pipeline.local.simulator.behaviour import Behaviour, BehaviourError
from huntaze_pipeline.local.simulator.courier import Courier
from huntaze_pipeline.local.simulator.desk import Desk
from huntaze_pipeline.local.simulator.wire import Connection, Reply, Request
from huntaze_pipeline.settings import Settings

_ACCOUNT = "/judge/accounts/"


@dataclass(frozen=True, slots=True)
class Options:
    """How one simulator is started. Port 0 takes a free one."""

    folder: Path
    behaviour: Behaviour
    secret: bytes = field(repr=False)
    host: str = "127.0.0.1"
    http_port: int = 0
    smtp_port: int = 0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running simulator listens; also written to `simulator.json` in its folder."""

    http: str
    smtp: str
    pid: int


def options(
    known: Settings, *, folder: Path | None, file: Path | None, webhook: str | None,
    seed: str | None, host: str, http_port: int, smtp_port: int,
) -> Options:  # fmt: skip
    """Put a start's options together; receipts are signed with HUNTAZE_WEBHOOK_SECRET.

    Raises:
        BehaviourError: the behaviour file or an option holds faults.
    """
    secret = known.webhook_secret.get_secret_value() if known.webhook_secret else ""
    return Options(
        folder or known.root / "simulator", behaviour.started(file, webhook=webhook, seed=seed),
        secret.encode(), host, http_port, smtp_port,
    )  # fmt: skip


def handler(desk: Desk) -> Callable[[Request], Reply]:
    """Return what answers every HTTP request."""

    def handle(request: Request) -> Reply:
        return dialects.answer(desk, request) or _judge(desk, request)

    return handle


def run(options: Options, ready: Callable[[Addresses], None], *, leash: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is called once both sockets listen.

    On a leash it also stops when standard input closes, which is when its parent ends.

    Raises:
        ServiceError: an address is taken, or another simulator uses the folder.
    """
    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(_serve(options, ready, leash))


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return the faster event loop where there is one."""
    with contextlib.suppress(ImportError):
        import uvloop

        return uvloop.new_event_loop
    return None


async def _serve(options: Options, ready: Callable[[Addresses], None], leash: bool) -> None:
    desk = Desk(options.folder, options.behaviour, system_clock)
    connections: set[Connection] = set()
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    if leash:
        loop.add_reader(sys.stdin.fileno(), lambda: os.read(sys.stdin.fileno(), 64) or stop.set())
    http, smtp = await _listen(options, desk, connections)
    courier = asyncio.create_task(Courier(desk, options.secret).run())
    addresses = _addresses(options.host, http, smtp)
    _note(options.folder, addresses)
    ready(addresses)
    await stop.wait()
    courier.cancel()
    http.close()
    smtp.close()
    for connection in tuple(connections):
        connection.transport.close()
    await asyncio.gather(courier, return_exceptions=True)
    desk.close()


async def _listen(
    options: Options, desk: Desk, connections: set[Connection]
) -> tuple[asyncio.Server, asyncio.Server]:
    """Open the doors of HTTP and SMTP."""
    try:
        http = await asyncio.get_running_loop().create_server(
            lambda: Connection(handler(desk), connections), options.host, options.http_port,
            backlog=1024,
        )  # fmt: skip
        smtp = await mailbox.serve(desk, options.host, options.smtp_port)
    except OSError as error:
        raise ServiceError(f"the simulator cannot listen on {options.host}: {error}") from None
    return http, smtp


def _addresses(host: str, http: asyncio.Server, smtp: asyncio.Server) -> Addresses:
    ports = [server.sockets[0].getsockname()[1] for server in (http, smtp)]
    return Addresses(f"http://{host}:{ports[0]}", f"smtp://{host}:{ports[1]}", os.getpid())


def _note(folder: Path, addresses: Addresses) -> None:
    """Write the addresses where others look for them, whole or not at all."""
    place = folder / "simulator.json"
    half = folder / "simulator.json.new"
    half.write_text(json.dumps({name: getattr(addresses, name) for name in addresses.__slots__}))
    half.replace(place)


def _judge(desk: Desk, request: Request) -> Reply:
    """Answer a request to the judge."""
    match request.method, request.path:
        case "GET", "/health":
            return Reply(200, {"status": "ok"})
        case "GET", "/judge/summary":
            return Reply(200, desk.summary())
        case "GET", "/judge/settings":
            return Reply(200, desk.behaviour.model_dump(mode="json"))
        case "POST", "/judge/settings":
            return _change(desk, request)
        case "POST", "/judge/reset":
            desk.reset()
            return Reply(200, {"status": "reset"})
        case "GET", path if path.startswith(_ACCOUNT):
            return _account(desk, path.removeprefix(_ACCOUNT))
    return Reply(404, {"error": f"nothing answers {request.method} {request.path}"})


def _change(desk: Desk, request: Request) -> Reply:
    patch = request.json()
    if patch is None:
        return Reply(422, {"problems": ["the body must be a JSON object"]})
    try:
        return Reply(200, desk.change(patch).model_dump(mode="json"))
    except BehaviourError as error:
        return Reply(422, {"problems": [str(problem) for problem in error.problems]})


def _account(desk: Desk, name: str) -> Reply:
    account = desk.judge.account(name)
    if not account:
        return Reply(404, {"error": f"no message has come from an account {name!r}"})
    return Reply(200, {**account[0], "platforms": account})


def announce(addresses: Addresses) -> None:
    """Print the addresses as one JSON line, for the program that started this one."""
    line = {name: getattr(addresses, name) for name in addresses.__slots__}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
