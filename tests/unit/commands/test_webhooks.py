"""`huntaze webhooks` as a person runs it, on the real store."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select
from typer.testing import CliRunner

from huntaze_pipeline.cli import app
from huntaze_pipeline.errors import HuntazeError
from huntaze_pipeline.local import stack
from huntaze_pipeline.store.automations import Effect, WebhookAttempt
from huntaze_pipeline.store.people import Creator
from huntaze_pipeline.webhooks import signing

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def hooks(store, creator):
    """One webhook that was taken and one that was given up after two tries."""
    common = {
        "creator_id": creator, "execution_id": "e", "automation_id": "hook", "fan_id": "fan-1",
        "turn": 0, "position": 0, "kind": "webhook", "rule_hash": "h", "due_at": NOON,
        "body": {"url": "https://example.com/in"}, "decided_at": NOON, "done_at": NOON,
    }  # fmt: skip
    effects = [
        common | {"id": "taken", "state": "delivered", "reason": None, "attempts": 1},
        common | {"id": "given-up", "state": "failed", "reason": "status 500", "attempts": 2},
    ]
    tries = [("taken", 1, 200), ("given-up", 1, 503), ("given-up", 2, 500)]
    with store.worker() as connection:
        connection.execute(insert(Creator).values(id="other", name="Other", zone="UTC"))
        connection.execute(insert(Effect), effects)
        connection.execute(
            insert(WebhookAttempt),
            [
                {"creator_id": creator, "effect_id": effect, "number": number, "at": NOON,
                 "status": status, "reason": None, "answer": "", "took_ms": 3}
                for effect, number, status in tries
            ],
        )  # fmt: skip


@pytest.fixture
def run(settings, hooks):
    env = stack.environment(settings)

    def command(*arguments, creator="maya", **more):
        line = ["webhooks", *arguments, "--creator", creator]
        return CliRunner(env=env | more).invoke(app, line)

    return command


def test_the_list_shows_each_with_its_last_answer_and_can_be_narrowed(run):
    shown = run("list")
    assert shown.exit_code == 0, shown.output
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "delivered 1 tries" in lines["taken"]
    assert "status 200" in lines["taken"]
    assert "status 500" in lines["given-up"]
    failed = json.loads(run("list", "--state", "failed", "--json").stdout)
    assert [(row["id"], row["attempts"], row["status"]) for row in failed] == [("given-up", 2, 500)]


def test_a_state_that_there_is_not_is_refused_with_those_that_there_are(run):
    refused = run("list", "--state", "asleep")
    assert refused.exit_code == 2
    assert "pending, delivered, failed, cancelled" in " ".join(refused.output.split())


def test_one_that_was_given_up_is_tried_again_and_only_such_a_one(run, store):
    assert run("retry", "given-up").stdout == "given-up will be tried within seconds\n"
    with store.worker() as connection:
        states = dict(connection.execute(select(Effect.id, Effect.state)).all())
    assert states == {"given-up": "pending", "taken": "delivered"}
    again = run("retry", "taken")
    assert isinstance(again.exception, HuntazeError)
    assert "no webhook 'taken' was given up" in str(again.exception)


def test_another_creator_sees_nothing_and_retries_nothing(run):
    assert run("list", creator="other").stdout == "no webhook yet\n"
    assert "was given up" in str(run("retry", "given-up", creator="other").exception)
    assert "no creator 'nobody'" in str(run("list", creator="nobody").exception)


def test_the_secret_is_the_creators_own_and_needs_the_master(run):
    told = run("secret", HUNTAZE_WEBHOOK_SECRET="master").stdout
    assert told == signing.secret(b"master", "maya") + "\n"
    assert told != run("secret", creator="other", HUNTAZE_WEBHOOK_SECRET="master").stdout
    unset = run("secret", HUNTAZE_WEBHOOK_SECRET=None)
    assert "HUNTAZE_WEBHOOK_SECRET is not set" in str(unset.exception)
