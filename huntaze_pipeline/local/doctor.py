"""What `huntaze doctor` looks at. Each check is a function that says what it found; none raises.

The embedded servers are started for it when nothing else runs: whether they can is the question.
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed

from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.errors import HuntazeError, StoreError
from huntaze_pipeline.local import health, stack
from huntaze_pipeline.settings import Settings

FREE_BYTES = 2 * 2**30
DRIFT = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    ok: bool
    what: str
    detail: str
    remedy: str = ""


Check = Callable[[Settings], Finding]


def examine(load: Callable[[], Settings]) -> Iterator[Finding]:
    """Yield one finding after the other; a fault of one check never hides the others."""
    yield _python()
    yield dependencies()
    try:
        settings = load()
    except HuntazeError as error:
        yield Finding(False, "settings", str(error), "correct or unset these variables")
        return
    for name, check in (("home", home), ("disk", disk), ("rules", rules), ("models", models)):
        yield _guarded(name, check, settings)
    yield from _services(settings)


def _services(settings: Settings) -> Iterator[Finding]:
    """Check each service, then what lives in them; start those that are ours."""
    from huntaze_pipeline.store import migrate
    from huntaze_pipeline.store.session import Store

    try:
        with stack.services(settings) as ready:
            yield from map(_service, health.services(ready))
            if settings.database_url is None:  # ours: whoever uses it first brings it up to date
                migrate.upgrade(Store(ready, pooled=False))
            yield _guarded("migrations", migrations, ready)
            yield _guarded("clock", clock, ready)
    except HuntazeError as error:
        yield Finding(False, "servers", str(error), "mend what the last lines of its log say")


def _guarded(name: str, check: Check, settings: Settings) -> Finding:
    try:
        return check(settings)
    except StoreError as error:  # it says itself what to do, whatever was being looked at
        return Finding(False, name, str(error))
    except HuntazeError as error:
        return Finding(False, name, str(error), _REMEDIES.get(name, ""))
    except Exception as error:  # a doctor never falls ill itself
        return Finding(False, name, f"{type(error).__name__}: {error}", _REMEDIES.get(name, ""))


_REMEDIES = {
    "rules": "correct the places named; `huntaze rules check` shows them again",
    "models": "correct the SQL model named",
    "migrations": "run `huntaze migrate`",
    "clock": "check the machine's time service",
}


def _python() -> Finding:
    detail = f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    return Finding(True, "python", detail)  # an older one cannot install the project


def dependencies() -> Finding:
    """Compare every installed package with what the project asks for."""
    from packaging.requirements import Requirement

    wrong, count = [], 0
    try:
        wanted = [Requirement(line) for line in requires("huntaze-pipeline") or []]
    except PackageNotFoundError:
        return Finding(False, "packages", "huntaze-pipeline is not installed", "run `make setup`")
    for one in wanted:
        if one.marker and not any(one.marker.evaluate({"extra": e}) for e in ("", "local")):
            continue
        count += 1
        try:
            have = installed(one.name)
        except PackageNotFoundError:
            have = ""
        if have not in one.specifier:
            wrong.append(f"{one.name} {have or 'missing'} (needs {one.specifier})")
    if wrong:
        return Finding(False, "packages", ", ".join(wrong), "run `make setup`")
    return Finding(True, "packages", f"all {count} at the versions asked for")


def home(settings: Settings) -> Finding:
    """Check that the home can be written and that its state file is private."""
    from huntaze_pipeline.local.folder import Folder

    folder = Folder(settings.root)
    folder.prepare()
    folder.read()
    if folder.state.exists() and folder.state.stat().st_mode & 0o077:
        return Finding(
            False, "home", f"others can read {folder.state}", f"chmod 600 {folder.state}"
        )
    return Finding(True, "home", f"{folder.home} can be written")


def disk(settings: Settings) -> Finding:
    """Check that the lake has room to grow."""
    place = next(path for path in (settings.root, *settings.root.parents) if path.exists())
    free = shutil.disk_usage(place).free
    detail = f"{free / 2**30:.1f} GiB free at {place}"
    if free < FREE_BYTES:
        return Finding(False, "disk", detail, f"free at least {FREE_BYTES / 2**30:.0f} GiB")
    return Finding(True, "disk", detail)


def rules(settings: Settings) -> Finding:
    """Check every rule file."""
    from huntaze_pipeline.rulebook import loader

    rulebook = loader.load(settings.rules_dir)
    return Finding(True, "rules", f"{rulebook.files} files in {settings.rules_dir}")


def models(settings: Settings) -> Finding:
    """Check every SQL model."""
    from huntaze_pipeline.warehouse import models as room

    project = room.load(settings.models_dir)
    return Finding(True, "models", f"{len(project.models)} in {settings.models_dir}")


def migrations(ready: Settings) -> Finding:
    """Check that the schema is the newest."""
    from huntaze_pipeline.store import migrate
    from huntaze_pipeline.store.session import Store

    missing = migrate.pending(Store(ready, pooled=False))
    if missing:
        remedy = "run `huntaze migrate` (`huntaze up` does it too)"
        return Finding(False, "migrations", f"{', '.join(missing)} not applied", remedy)
    return Finding(True, "migrations", "the schema is up to date")


def clock(ready: Settings) -> Finding:
    """Compare this machine's time with PostgreSQL's: rules and windows rely on both."""
    from sqlalchemy import text

    from huntaze_pipeline.store.session import Store

    with Store(ready, pooled=False).owner() as connection:
        there = connection.scalar(text("select clock_timestamp()"))
    drift = abs(there - system_clock())
    detail = f"{drift.total_seconds():.3f} s from PostgreSQL's"
    return Finding(drift <= DRIFT, "clock", detail, "" if drift <= DRIFT else _REMEDIES["clock"])


def _service(one: health.Health) -> Finding:
    if one.healthy:
        return Finding(True, one.service, f"{one.version} at {one.address}")
    variable = {"postgres": "DATABASE_URL", "redis": "REDIS_URL", "sqs": "AWS_ENDPOINT_URL"}
    remedy = f"check {variable[one.service]}; unset it to use the embedded server"
    return Finding(False, one.service, f"{one.detail} at {one.address}", remedy)
