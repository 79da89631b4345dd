"""A simulator as a child process: start it, read where it listens, stop it.

It ends with its parent, however that ends: it holds on to the other end of its standard input.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local.simulator.app import Addresses
from huntaze_pipeline.settings import Settings

_PATIENCE_S = 10


class Child:
    """One running simulator.

    Raises:
        ServiceError: it did not start; the message holds what it said.
    """

    def __init__(
        self, folder: Path, *, behaviour: Mapping[str, Any] | None = None,
        webhook: str | None = None, secret: SecretStr | None = None,
    ) -> None:  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "huntaze_pipeline.local.simulator", "--leash"]
        command += ["--state-dir", str(folder)]
        if behaviour is not None:
            place = folder / "behaviour.json"
            place.write_text(json.dumps(behaviour))
            command += ["--behaviour", str(place)]
        command += ["--webhook", webhook] if webhook else []
        self._log = folder / "simulator.log"
        self.addresses = self._start(command, secret)

    def stop(self, *, kill: bool = False) -> None:
        """End it: politely, or as a crash would."""
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_S)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _start(self, command: list[str], secret: SecretStr | None) -> Addresses:
        # The secret goes by the environment: arguments are there for everybody to see.
        extra = {"HUNTAZE_WEBHOOK_SECRET": secret.get_secret_value()} if secret else {}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env={**os.environ, **extra},
            )  # fmt: skip
        assert self._process.stdout is not None  # a pipe was asked for
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            said = self._log.read_text(errors="replace").strip().rpartition("\n")[2]
            raise ServiceError(f"the simulator did not start: {said}")
        return Addresses(**json.loads(line))


@contextlib.contextmanager
def running(
    folder: Path, *, behaviour: Mapping[str, Any] | None = None, webhook: str | None = None,
    secret: SecretStr | None = None,
) -> Iterator[Addresses]:  # fmt: skip
    """Run a simulator for as long as the block lasts.

    Args:
        folder: Where it keeps its journals; the same folder again goes on where it stopped.
        behaviour: Partial settings, as `POST /judge/settings` takes them.
        webhook: Where receipts are posted.
        secret: Key with which they are signed.

    Raises:
        ServiceError: it did not start.
    """
    child = Child(folder, behaviour=behaviour, webhook=webhook, secret=secret)
    try:
        yield child.addresses
    finally:
        child.stop()


def pointed(known: Settings, addresses: Addresses) -> Settings:
    """Return settings whose four platforms are the simulated ones."""
    token = SecretStr("simulated")
    return known.model_copy(
        update={
            "onlyfans_url": f"{addresses.http}/onlyfans", "onlyfans_token": token,
            "instagram_url": f"{addresses.http}/instagram", "instagram_token": token,
            "tiktok_url": f"{addresses.http}/tiktok", "tiktok_token": token,
            "smtp_url": SecretStr(addresses.smtp),
        }
    )  # fmt: skip
