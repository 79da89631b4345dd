"""Automations through the API and the command line: made, shown, followed, paused, cancelled."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from huntaze_pipeline.api import app
from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.cli import app as cli
from huntaze_pipeline.delivery import outbox
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.local import stack
from huntaze_pipeline.rulebook.policies import load_policies
from huntaze_pipeline.store import creators

RULES = Path(__file__).parents[2] / "rules"
SEED = {
    "name": "Thanks",
    "trigger": {"event": "tip", "platform": "onlyfans"},
    "conditions": {},
    "actions": [
        {"type": "send_message", "delay": 0, "content": "Thank you!"},
        {"type": "send_message", "delay": 86_400, "content": "Still thankful."},
    ],
    "isActive": True,
}
STEPS = {
    "name": "Club",
    "trigger": {"event": "tip"},
    "steps": [{"send": {"content": "Hi"}}, {"wait": "2d"}, {"set": {"asked": True}}],
    "exit": {"event": "purchase"},
}


@pytest.fixture
def call(settings, store, creator, clock):
    service = app.create(settings, clock)
    with store.worker() as connection:
        key = creators.rotate(connection, creator)

    def request(method, path, told=None, **options):
        async def answer():
            transport = httpx.ASGITransport(app=service)
            async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
                headers = {"Authorization": f"Bearer {key}", **options}
                return await client.request(method, path, json=told, headers=headers)

        return asyncio.run(answer())

    yield request
    service.state.store.engine.dispose()


def tip(store, at, fan="fan-1"):
    one = Event(
        creator_id="maya", event_id=f"{fan}-{at}", name="tip", fan_id=fan, source="api",
        platform="onlyfans", occurred_at=at, value_micros=5_000_000, currency="USD",
    )  # fmt: skip
    with store.worker() as connection:
        inbox.append(connection, [one])
        found = reactions.react(connection, None, [one], load_policies(RULES), at)
        outbox.record(connection, found.decisions)


def test_the_json_of_older_systems_becomes_a_live_automation(call, store, clock):
    made = call("POST", "/api/automations", SEED, **{"Idempotency-Key": "k"})
    assert made.status_code == 201, made.text
    told = made.json()
    assert made.headers["location"] == f"/api/automations/{told['id']}"
    assert (told["status"], told["rule"]["actions"][1]["delay"]) == ("active", "1d")
    tip(store, clock())
    again = call("POST", "/api/automations", SEED, **{"Idempotency-Key": "k"}).json()
    assert (again["id"], again["executions"]) == (told["id"], {"active": 1})
    off = call("PUT", f"/api/automations/{told['id']}", SEED | {"isActive": False}).json()
    assert (off["status"], off["executions"]) == ("stopped", {"cancelled": 1})


def test_every_fault_is_told_with_its_field(call):
    wrong = {
        "name": "x",
        "trigger": {"event": "tip"},
        "conditions": "fan.nothing > 1",
        "steps": [{"send": "no_such"}, {"join": "nowhere"}, {"wait": "1d"}],
    }
    answer = call("PUT", "/api/automations/x", wrong)
    assert answer.status_code == 422, answer.text
    fields = {error["field"] for error in answer.json()["errors"]}
    assert fields == {"conditions", "steps.0.send.template", "steps.1.join"}
    twice = call("PUT", "/api/automations/x", STEPS | {"steps": [{"send": {}}, {"waits": "1d"}]})
    assert {error["field"] for error in twice.json()["errors"]} == {"steps.0.send", "steps.1.waits"}


@pytest.mark.parametrize("name", ["a.b", "-club", "x" * 65])
def test_an_id_that_somebody_chooses_has_letters_digits_and_dashes(call, name):
    answer = call("PUT", f"/api/automations/{name}", STEPS)
    assert (answer.status_code, "automation_id" in answer.text) == (422, True)


def test_history_tells_every_step_and_control_works_at_once(call, store, clock):
    call("PUT", "/api/automations/club", STEPS)
    tip(store, clock())
    page = call("GET", "/api/automations/club/executions?fanId=fan-1").json()
    (one,) = page["executions"]
    assert (page["total"], one["state"], one["fanId"]) == (1, "active", "fan-1")
    kinds = [(step["kind"], step["state"], step["messageState"]) for step in one["steps"]]
    assert kinds == [("send", "done", "decided"), ("wait", "waiting", None)]
    paused = call("POST", "/api/automations/club/pause").json()
    assert (paused["automation"]["status"], paused["passages"]) == ("paused", 1)
    assert call("POST", "/api/automations/club/resume").json()["automation"]["status"] == "active"
    gone = call("POST", "/api/automations/club/cancel", {"executionId": one["id"]}).json()
    assert (gone["messages"], gone["automation"]["executions"]) == (1, {"cancelled": 1})
    unknown = call("POST", "/api/automations/clup/pause")
    assert (unknown.status_code, "did you mean 'club'?" in unknown.text) == (404, True)


@pytest.fixture
def run(settings, creator, monkeypatch):
    for name, value in stack.environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HUNTAZE_RULES_DIR", str(RULES))

    def command(*arguments):
        result = CliRunner().invoke(cli, ["automations", *arguments, "--creator", "maya"])
        return result.stdout if result.exit_code == 0 else str(result.exception)

    return command


def test_the_command_line_shows_the_same(call, run, store, clock):
    call("PUT", "/api/automations/club", STEPS)
    assert "nobody has entered yet" in run("list")
    tip(store, clock())
    assert "1 rest here, the first until 2026-03-04 12:00:00" in run("show", "club")
    assert [step["kind"] for step in json.loads(run("show", "club", "--json"))["steps"]] == [
        "send", "wait", "set"
    ]  # fmt: skip
    assert "waiting until 2026-03-04 12:00:00" in run("history", "club")
    assert json.loads(run("history", "fan-1", "--json"))[0]["automation_id"] == "club"
    assert run("pause", "club", "--fan", "fan-1") == "club: paused, 1 passage, 1 message\n"
    assert run("resume", "club", "--fan", "fan-1") == "club: resumed, 1 passage, 1 message\n"
    assert run("cancel", "club") == "club: cancelled, 1 passage, 1 message\n"
    assert "paused" in run("list")
    assert "did you mean 'club'?" in run("pause", "clb")
