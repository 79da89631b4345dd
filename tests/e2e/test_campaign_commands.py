"""`huntaze campaigns` as a person runs it: from a draft to its end, with what waits in between."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import scene
import terminal

from huntaze_pipeline.local import stack
from huntaze_pipeline.rulebook import loader, registry

RULES = Path(__file__).parents[2] / "rules"


@pytest.fixture
def run(settings, store, creator):
    env = {"PATH": "/usr/bin:/bin", "HUNTAZE_RULES_DIR": str(RULES), **stack.environment(settings)}
    with store.tenant(creator) as connection:
        registry.apply(connection, creator, loader.load(RULES), datetime.now(UTC))

    def command(*arguments):
        return terminal.run("campaigns", *arguments, "--creator", creator, env=env)

    return command


def decide(store, campaign, count):
    told = {"source": "campaign", "source_id": campaign}
    scene.decide(store, *(scene.decision(**told, fan_id=f"f{n}") for n in range(count)))


def test_a_campaign_is_started_shown_paused_and_cancelled(run, store):
    listed = json.loads(run("list", "--json").stdout)
    assert {row["status"] for row in listed} == {"draft"}
    name = next(row["id"] for row in listed if row["recurring"] is None)
    started = run("start", name)
    assert started.stdout.startswith((f"{name}: active", f"{name}: scheduled")), started.stderr
    decide(store, name, 24)
    shown = run("show", name).stdout
    assert "24 decided" in shown
    assert "24 messages on 1 account at 10 a minute: about 3 min" in shown
    assert run("pause", name).stdout.startswith(f"{name}: paused")
    assert json.loads(run("show", name, "--json").stdout)["eta"] is None
    assert run("cancel", name).stdout == f"{name}: cancelled\n"
    assert "24 cancelled  campaign_cancelled" in run("show", name).stdout
    again = run("start", name)
    assert (again.returncode, "nothing changes it any more" in again.stderr) == (1, True)


def test_what_is_not_there_is_told_with_exit_code_2(run):
    for action in ("show", "start", "pause", "cancel"):
        unknown = run(action, "nothing")
        assert (unknown.returncode, "no campaign 'nothing'" in unknown.stderr) == (2, True)
    assert run("list", "--status", "asleep").returncode == 2


def test_a_preview_tells_who_when_and_what_before_anything_is_written(run):
    shown = run("preview", "spring_drop", "--json")
    assert shown.returncode == 0, shown.stderr
    found = json.loads(shown.stdout)
    assert (found["audience"], found["messages"]) == (0, 0)
    told = run("preview", "vip_monthly").stdout
    assert "for 0 fans" in told
    assert "nothing would go out" in told


def test_a_template_is_shown_as_a_fan_of_ones_own_would_read_it(settings, store, creator):
    env = {"PATH": "/usr/bin:/bin", "HUNTAZE_RULES_DIR": str(RULES), **stack.environment(settings)}
    mine = ["re_engagement", "--creator", creator, "--fan", "fan-1"]
    shown = terminal.run("rules", "preview", *mine, env=env)
    assert shown.stdout.startswith("Fan-1, it has been a while"), shown.stderr
