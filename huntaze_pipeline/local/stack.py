"""The servers that Huntaze needs, ready to use: those that the environment names, else ours.

The servers of one home belong to its keeper (`local.keeper`) and live as long as anybody uses them:
two commands in the same home share them, and whoever ends first takes nothing from the other.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import lease
from huntaze_pipeline.local.folder import Folder, State, tail
from huntaze_pipeline.settings import Settings

KEEPER = "huntaze_pipeline.local.keeper"
NAMES = ("postgres", "redis", "sqs")
QUEUE = "huntaze"
DUMMY = "local"
"""AWS credentials for the embedded services; they check none, but boto3 insists on some."""
STARTER_WAIT_S = 150.0
STOP_WAIT_S = 30.0


@contextmanager
def services(
    settings: Settings,
    need: Sequence[str] = NAMES,
    *,
    home: Path | None = None,
    throwaway: bool = False,
) -> Iterator[Settings]:
    """Provide the needed services for the block; yield settings with their addresses.

    Args:
        settings: addresses set there are used as they are.
        need: which of ``postgres``, ``redis``, ``sqs`` must be there.
        home: another home than the settings'.
        throwaway: for tests: fast and careless on disk, and all data goes with the last user.

    Raises:
        ServiceError: a server cannot be started; says what its log says.
    """
    settings = settings if home is None else settings.model_copy(update={"home": home})
    missing = [name for name in need if name in lacking(settings)]
    if not missing:  # production: the home need not even be writable
        yield attach(settings)
        return
    folder = Folder(settings.root)
    folder.prepare()
    with lease.held(
        folder.users, shared=True, wait_s=STOP_WAIT_S, what="the last stack of this home to stop"
    ):
        with lease.held(
            folder.starter, shared=False, wait_s=STARTER_WAIT_S, what="another command to start"
        ):
            folder.secrets()
            _ensure(folder, missing, throwaway)
        yield attach(settings)


def lacking(settings: Settings) -> set[str]:
    """Return the services that the settings do not name."""
    absent = {
        "postgres": settings.database_url is None,
        "redis": settings.redis_url is None,
        "sqs": settings.sqs_queue is None and settings.aws_endpoint_url is None,
    }
    return {name for name, yes in absent.items() if yes}


def attach(settings: Settings) -> Settings:
    """Fill in the addresses of the home's running servers; start none.

    Addresses that are set stay; what neither the settings nor a server provide stays absent.
    """
    folder, absent = Folder(settings.root), lacking(settings)
    state = folder.read() if absent else {}
    addresses = _addresses(state, running(folder, state)) if "secrets" in state else {}
    update: dict[str, Any] = {"home": folder.home}
    for name, field in (("postgres", "database_url"), ("redis", "redis_url")):
        if name in absent and field in addresses:
            update[field] = SecretStr(addresses[field])
    if "sqs" in absent and "aws_endpoint_url" in addresses:
        update["aws_endpoint_url"] = addresses["aws_endpoint_url"]
        _sign()
    if settings.sqs_queue is None and (settings.aws_endpoint_url or "aws_endpoint_url" in update):
        update["sqs_queue"] = QUEUE
    if settings.webhook_secret is None and "webhook" in state.get("secrets", {}):
        update["webhook_secret"] = SecretStr(state["secrets"]["webhook"])
    return settings.model_copy(update=update)


def environment(ready: Settings) -> dict[str, str]:
    """Return the whole environment of a child process that shall see the same settings."""
    env = dict(os.environ)
    for name, field in Settings.model_fields.items():
        value = getattr(ready, name)
        if value is not None and field.alias is not None:
            env[field.alias] = _text(value)
    env["AWS_DEFAULT_REGION"] = ready.aws_region
    if ready.aws_endpoint_url is not None:
        env.setdefault("AWS_ACCESS_KEY_ID", DUMMY)
        env.setdefault("AWS_SECRET_ACCESS_KEY", DUMMY)
    return env


def running(folder: Folder, state: State | None = None) -> dict[str, State]:
    """Return the state of the servers that run now in this home, by name."""
    if not lease.taken(folder.keeper):
        return {}
    servers: Mapping[str, State] = (state or folder.read()).get("servers", {})
    return {name: server for name, server in servers.items() if server["status"] == "running"}


def revive(settings: Settings) -> list[str]:
    """Start again what the settings lack when the keeper was killed; return what was started.

    For a user of the stack, who holds it by `services`. Ports and passwords stay as they were.

    Raises:
        ServiceError: a server cannot be started.
    """
    folder = Folder(settings.root)
    names = sorted(lacking(settings))
    if not names or lease.taken(folder.keeper):
        return []
    with lease.held(
        folder.starter, shared=False, wait_s=STARTER_WAIT_S, what="another command to start"
    ):
        _ensure(folder, names, throwaway=False)
    return names


def stop(settings: Settings) -> bool:
    """Stop the home's servers, whoever uses them; say whether there were any.

    Raises:
        ServiceError: they do not stop.
    """
    import signal

    folder = Folder(settings.root)
    if not lease.taken(folder.keeper):
        return False
    with suppress(ProcessLookupError):  # it has just ended by itself
        os.kill(int(folder.read()["keeper"]), signal.SIGTERM)
    deadline = time.monotonic() + STOP_WAIT_S
    while lease.taken(folder.keeper):
        if time.monotonic() > deadline:
            raise ServiceError(f"the stack in {folder.home} does not stop; see {folder.stack}")
        time.sleep(lease.PAUSE_S)
    return True


def _ensure(folder: Folder, names: Sequence[str], throwaway: bool) -> None:
    """Ask the keeper for servers and wait until it has settled; start a keeper where none lives."""
    waiting = [name for name in names if name not in running(folder)]
    for name in waiting:
        (folder.wanted / name).touch()
    starts, deadline = 0, time.monotonic() + STARTER_WAIT_S
    while any((folder.wanted / name).exists() for name in waiting):
        if not lease.taken(folder.keeper):
            if starts == 3 or time.monotonic() > deadline:
                raise ServiceError(f"the stack's keeper ends:\n{tail(folder.log('keeper'))}")
            _start_keeper(folder, throwaway)
            starts += 1
        time.sleep(lease.PAUSE_S)
    servers = folder.read().get("servers", {})
    if failed := [error for name in waiting if (error := servers.get(name, {}).get("error"))]:
        raise ServiceError("\n".join(failed))


def _start_keeper(folder: Folder, throwaway: bool) -> None:
    options = ["--throwaway"] if throwaway else []
    with folder.log("keeper").open("ab") as log:
        subprocess.run(
            [sys.executable, "-P", "-m", KEEPER, str(folder.home), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder.home,
            start_new_session=True,
            check=False,
        )
    deadline = time.monotonic() + 10.0
    while not lease.taken(folder.keeper) and time.monotonic() < deadline:
        time.sleep(lease.PAUSE_S / 5)


def _addresses(state: State, servers: Mapping[str, State]) -> dict[str, str]:
    secrets, addresses = state["secrets"], {}
    if "postgres" in servers:
        port = servers["postgres"]["port"]
        addresses["database_url"] = (
            f"postgresql://huntaze:{secrets['postgres']}@127.0.0.1:{port}/huntaze"
        )
    if "redis" in servers:
        port = servers["redis"]["port"]
        addresses["redis_url"] = f"redis://:{secrets['redis']}@127.0.0.1:{port}/0"
    if "sqs" in servers:
        addresses["aws_endpoint_url"] = f"http://127.0.0.1:{servers['sqs']['port']}"
    return addresses


def _sign() -> None:
    os.environ.setdefault("AWS_ACCESS_KEY_ID", DUMMY)
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", DUMMY)


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
