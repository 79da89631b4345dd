"""Our own long-running programs, as `huntaze up` starts them: simulator, API, sender, Dagster."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from huntaze_pipeline.local import instance, ports, stack
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.local.process import Launch
from huntaze_pipeline.settings import Settings, version

PLATFORMS = ("onlyfans_url", "instagram_url", "tiktok_url", "smtp_url")
SETTLE_S = 1.5
"""A program without a socket is running when it has lived this long."""


@dataclass
class Program:
    """One program; a `local.server.Recipe`."""

    name: str
    log: Path
    argv: Callable[[int], Sequence[str]]
    env: Mapping[str, str] = field(repr=False)
    path: str | None = None
    """What to ask for over HTTP to see that it answers; None: it has no socket."""
    host: str = ports.LOOPBACK
    _began: float = 0.0

    def launch(self, port: int) -> Launch:
        """Say how to start it; settings and secrets travel in the environment."""
        self._began = time.monotonic()
        env = {**self.env, "PYTHONUNBUFFERED": "1"}
        return Launch(self.argv(port), self.log, env=env, cwd=Path.cwd())

    def ready(self, port: int, pid: int) -> bool:
        """Say whether it answers."""
        if self.path is None:
            return time.monotonic() - self._began > SETTLE_S
        request = f"GET {self.path} HTTP/1.0\r\nHost: {self.host}\r\n\r\n".encode()
        return ports.exchange(port, request, host=self.host).startswith(b"HTTP/1.")

    def version(self) -> str:
        """Return the project's version."""
        return f"huntaze {version()}"

    def address(self, port: int | None) -> str | None:
        """Return where it listens."""
        return None if self.path is None or port is None else f"http://{self.host}:{port}"


def simulated(settings: Settings) -> bool:
    """Say whether no platform is set, so that the simulator takes their place."""
    return not set(PLATFORMS) & settings.model_fields_set


def with_simulator(ready: Settings, port: int, smtp_port: int) -> Settings:
    """Return settings that send everything to the simulator on these ports."""
    base = f"http://{ports.LOOPBACK}:{port}"
    token = SecretStr("simulated")
    return ready.model_copy(
        update={
            "onlyfans_url": f"{base}/onlyfans",
            "onlyfans_token": token,
            "instagram_url": f"{base}/instagram",
            "instagram_token": token,
            "tiktok_url": f"{base}/tiktok",
            "tiktok_token": token,
            "smtp_url": SecretStr(f"smtp://{ports.LOOPBACK}:{smtp_port}"),
        }
    )


def simulator(ready: Settings, folder: Folder, smtp_port: int) -> Program:
    """The four platforms on this machine; receipts go to our API."""
    webhook = f"http://{_reachable(ready.api_host)}:{ready.api_port}/webhooks/receipts"
    state = str(folder.home / "simulator")
    module = [*_python(), "huntaze_pipeline.local.simulator", "--state-dir", state]

    def argv(port: int) -> list[str]:
        where = ["--port", str(port), "--smtp-port", str(smtp_port), "--webhook", webhook]
        return module + where

    return Program("simulator", folder.log("simulator"), argv, stack.environment(ready), "/")


def api(ready: Settings, folder: Folder) -> Program:
    """The HTTP API with the control room."""
    command = [*_python(), "huntaze_pipeline.cli", "api", "--host", ready.api_host, "--port"]
    return Program(
        "api",
        folder.log("api"),
        lambda port: [*command, str(port)],
        stack.environment(ready),
        "/",
        _reachable(ready.api_host),
    )


def sender(ready: Settings, folder: Folder) -> Program:
    """The process that rings SQS and calls the platforms."""
    command = [*_python(), "huntaze_pipeline.cli", "sender", "--with-relay"]
    return Program("sender", folder.log("sender"), lambda _: command, stack.environment(ready))


def dagster(ready: Settings, folder: Folder) -> Program:
    """Dagster's UI, daemon and our code location."""
    env = stack.environment(ready) | instance.prepare(ready)
    command = [*_python(), "dagster", "dev", *instance.workspace(), "-h", ports.LOOPBACK, "-p"]
    return Program(
        "dagster", folder.log("dagster"), lambda port: [*command, str(port)], env, "/server_info"
    )


def _python() -> list[str]:
    return [sys.executable, "-P", "-m"]


def _reachable(host: str) -> str:
    """Return the address under which we reach a host that may be a wildcard."""
    return ports.LOOPBACK if host in ("0.0.0.0", "::", "") else host
