"""`huntaze up`'s programs: kept running, ended together, leaving nobody behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

CREW = """
import signal, sys
from pathlib import Path
from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.local import fleet, programs
from huntaze_pipeline.local.folder import Folder
from huntaze_pipeline.settings import load

folder = Folder(Path(sys.argv[1]))
settings = load(HUNTAZE_HOME=folder.home, DATABASE_URL="postgresql://x", REDIS_URL="redis://x",
                SQS_RATE_LIMITER_QUEUE="x")
WEB = "import http.server, sys; http.server.test(port=int(sys.argv[1]), bind='127.0.0.1')"
FAMILY = "import os, time; os.fork(); time.sleep(60)"

def crew(*_):
    python = [sys.executable, "-c"]
    return [
        programs.Program("web", folder.log("web"), lambda port: [*python, WEB, str(port)], {}, "/"),
        programs.Program("family", folder.log("family"), lambda port: [*python, FAMILY], {}),
    ], {}

folder.prepare()
fleet._crew = crew
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
try:
    fleet.up(settings, settings, lambda: bool(asked), lambda line: print(line, flush=True))
except ServiceError as error:
    sys.exit(f"error: {error}")
"""


@contextmanager
def fleet(home: Path) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", CREW, str(home)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        wait(lambda: all(one["status"] == "running" for one in programs(home).values()))
        yield process
        process.terminate()


def programs(home: Path) -> dict[str, Any]:
    try:
        return json.loads((home / "stack" / "up.json").read_text())["programs"]
    except OSError:
        return {"none": {"status": "absent"}}


def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def group(leader: int) -> list[str]:
    command = ["ps", "-o", "stat=", "--no-headers", "-g", str(leader)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [line for line in answer.split() if not line.startswith("Z")]


def test_a_killed_program_comes_back_where_it_was(tmp_path: Path) -> None:
    with fleet(tmp_path):
        before = programs(tmp_path)
        for one in before.values():
            os.kill(one["pid"], signal.SIGKILL)
        wait(lambda: programs(tmp_path)["web"]["pid"] not in (before["web"]["pid"], None))
        wait(lambda: all(one["status"] == "running" for one in programs(tmp_path).values()))
        assert programs(tmp_path)["web"]["address"] == before["web"]["address"]
        assert not group(before["family"]["pid"])


def test_they_end_in_reverse_order_when_asked(tmp_path: Path) -> None:
    with fleet(tmp_path) as process:
        leaders = [one["pid"] for one in programs(tmp_path).values()]
        began = time.monotonic()
        process.terminate()
        output = process.communicate()[0]
        assert time.monotonic() - began < 10
    ended = [line.split()[1] for line in output.splitlines() if "stopped" in line]
    assert ended == ["family", "web"]
    assert not any(map(group, leaders))
    assert not (tmp_path / "stack" / "up.json").exists()


def test_nobody_outlives_a_killed_fleet(tmp_path: Path) -> None:
    with fleet(tmp_path) as process:
        leaders = [one["pid"] for one in programs(tmp_path).values()]
        assert len(group(leaders[1])) == 2
        process.kill()
        wait(lambda: not any(map(group, leaders)))


def test_a_second_fleet_in_the_same_home_is_refused(tmp_path: Path) -> None:
    with fleet(tmp_path):
        command = [sys.executable, "-c", CREW, str(tmp_path)]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert "`huntaze up` runs already in" in second.stderr
