"""`huntaze chaos`, short: the line that it prints, the marks, and that nothing is left of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from huntaze_pipeline.local import stack
from huntaze_pipeline.local.chaos.points import POINTS
from huntaze_pipeline.settings import load

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MESSAGES, LIMIT, TOTAL = 240, 4, 10


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-P", "-m", "huntaze_pipeline.cli", "chaos", "--seed", "5"]
    command += ["--messages", str(MESSAGES), "--accounts", "12", "--minutes", "0.7"]
    command += ["--limit", str(LIMIT), "--window", "6", "--total", str(TOTAL)]
    env = stack.environment(load(HUNTAZE_HOME=str(tmp_path_factory.mktemp("chaos"))))
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def line(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.stdout.count("\n") == 1, done.stderr
    return json.loads(done.stdout)


def test_every_mark_is_met(done: "subprocess.CompletedProcess[str]", line: dict[str, Any]) -> None:
    assert (done.returncode, line["crashes"], line["undrained"]) == (0, 0, 0), done.stderr
    assert (line["lost"], line["duplicates_avoidable"]) == (0, 0)
    assert (line["bans"], line["false_dlq"]) == (0, 0)
    assert line["max_in_any_window"] <= LIMIT
    assert line["max_on_a_platform"] <= TOTAL


def test_every_message_is_accounted_for(line: dict[str, Any]) -> None:
    assert line["messages"] == MESSAGES
    assert MESSAGES - line["unknown"] <= line["delivered_unique"] <= MESSAGES
    assert line["delivered_unique"] > MESSAGES / 2


def test_a_process_died_at_nearly_every_point(line: dict[str, Any]) -> None:
    """A storm this short may pass before anybody comes by the last few."""
    assert list(map(int, line["points"])) == [point.number for point in POINTS]
    assert sum(map(bool, line["points"].values())) >= len(POINTS) - 4
    assert line["kills"] >= sum(line["points"].values())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_nothing_is_left_running_or_lying_about(
    done: "subprocess.CompletedProcess[str]", tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.getbasetemp()
    (home,) = base.glob("chaos[0-9]*/chaos")
    assert not (home / "home" / "stack").exists()
    assert [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(home) in _read(p)] == []


def _read(place: Path) -> str:
    try:
        return place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
