"""The command that people type starts, tells where it listens, and stops when told to."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import typer
from typer.testing import CliRunner

from huntaze_pipeline.commands import simulator
from huntaze_pipeline.local.simulator.behaviour import BehaviourError

START = (
    "import typer\nfrom huntaze_pipeline.commands import simulator\n"
    "app = typer.Typer()\nsimulator.register(app)\napp()"
)


def test_it_says_where_it_listens_and_ends_on_sigterm(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", START, "--port", "0", "--smtp-port", "0", "--json",
         "--state-dir", tmp_path / "state", "--seed", "mine"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    assert json.loads((tmp_path / "state" / "simulator.json").read_text()) == told
    assert httpx.get(f"{told['http']}/judge/settings").json()["seed"] == "mine"
    assert httpx.get(f"{told['http']}/nothing").status_code == 404
    process.terminate()
    assert process.wait(10) == 0
    process.stdout.close()


def test_a_bad_behaviour_file_ends_it_before_it_listens(tmp_path: Path) -> None:
    place = tmp_path / "behaviour.json"
    place.write_text('{"platforms": {"email": {"limit": {"count": 0}}}, "speed": 1}')
    app = typer.Typer()
    simulator.register(app)
    result = CliRunner().invoke(app, ["--behaviour", str(place)])
    assert isinstance(result.exception, BehaviourError)
    with pytest.raises(BehaviourError, match=r"(?s)email\.limit\.count.*speed"):
        raise result.exception
