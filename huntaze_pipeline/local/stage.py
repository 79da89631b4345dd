"""The demo's stage: a folder of its own, the rules it plays by, and a `huntaze up` beside it.

Everything here is set-up and take-down; what is shown is `demo`'s.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import fleet, lease, refuge, stack
from huntaze_pipeline.local.folder import Folder, tail
from huntaze_pipeline.local.process import Child, Launch, Watcher
from huntaze_pipeline.settings import PACKAGE, Settings, load

PLAY = PACKAGE / "local" / "journey" / "rules"
"""Files laid over the shipped rules for the demo."""
START_S = 90.0
PAUSE_S = 0.2
FOREIGN = ("DATABASE_URL", "REDIS_URL", "SQS_RATE_LIMITER_QUEUE", "AWS_ENDPOINT_URL",
           "ONLYFANS_API_URL", "INSTAGRAM_API_URL", "TIKTOK_API_URL", "SMTP_URL")  # fmt: skip
"""A demo fills and wipes its own servers; it must never touch those that the environment names."""


@contextmanager
def folder(settings: Settings, what: str = "demo") -> Iterator[Path]:
    """Give a demo its empty home; a second demo at the same time gets another one.

    The home stays afterwards, so that its data and Dagster runs can be looked at.

    Args:
        settings: of the home in which the demo's home is made.
        what: who asks; each kind has its own folder.
    """
    base = settings.root / what
    base.mkdir(parents=True, exist_ok=True)
    for name in ("home", *(f"home-{number}" for number in range(2, 10))):
        lock = lease.Lock(base / f"{name}.lock")
        if lock.take():
            break
        lock.close()
    else:
        raise ServiceError(f"nine of these are running in {base}; wait for one to end")
    try:
        _wipe(base / name)
        yield base / name
    finally:
        lock.close()


def settings(home: Path) -> Settings:
    """Return a demo's settings: its own servers, SQS for every account, the demo's rules."""
    for name in FOREIGN:
        os.environ.pop(name, None)
    return load(
        HUNTAZE_HOME=str(home),
        HUNTAZE_RULES_DIR=str(rules(home)),
        RATE_LIMITER_ENABLED="true",
        RATE_LIMITER_ROLLOUT_PERCENTAGE="100",
        HUNTAZE_API_PORT="0",
        HUNTAZE_DAGSTER_PORT="0",
    )


def rules(home: Path) -> Path:
    """Copy the shipped rules, lay the demo's over them and lift what would make it wait for hours.

    Quiet hours are lifted because a demo runs at any hour; everything else stays as it ships.
    """
    target = home / "rules"
    shutil.copytree(load().rules_dir, target, dirs_exist_ok=True)
    shutil.copytree(PLAY, target, dirs_exist_ok=True)
    policies = yaml.safe_load((target / "policies.yaml").read_text(encoding="utf-8"))
    policies.pop("quiet_hours", None)
    (target / "policies.yaml").write_text(yaml.safe_dump(policies, sort_keys=False))
    return target


@contextmanager
def running(settings: Settings) -> Iterator[dict[str, str]]:
    """Run `huntaze up` for the length of a block; yield its programs' addresses.

    Raises:
        ServiceError: it does not come up, with the last lines of its log.
    """
    place = Folder(settings.root)
    place.prepare()
    log = place.log("up")
    watcher = Watcher()
    argv = [sys.executable, "-P", "-m", "huntaze_pipeline.cli", "up"]
    # A platform's address that is set, if only to its default, would keep the simulator away.
    env = {k: v for k, v in stack.environment(settings).items() if k not in FOREIGN}
    child = Child(Launch(argv, log, env=env, cwd=Path.cwd()), watcher)
    try:
        yield _addresses(place, child, log)
    finally:
        child.stop(25.0)
        watcher.close()


def _addresses(place: Folder, child: Child, log: Path) -> dict[str, str]:
    """Wait until every program runs; return where each listens."""
    deadline = time.monotonic() + START_S
    while True:
        programs = fleet.recorded(place).get("programs", {})
        if programs and all(found["status"] == "running" for found in programs.values()):
            return {name: str(found["address"] or "") for name, found in programs.items()}
        if child.code is not None or time.monotonic() > deadline:
            raise ServiceError(f"the servers do not come up; the end of {log}:\n{tail(log)}")
        time.sleep(PAUSE_S)


def _wipe(home: Path) -> None:
    """Remove what an earlier demo left, its servers' refuge included."""
    if home.exists():
        stack.stop(load(HUNTAZE_HOME=str(home)))
    for place in (home, *refuge.paths(home)):
        shutil.rmtree(place, ignore_errors=True)
    home.mkdir(parents=True)
