"""The commands of delivery, as a person types them."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from sqlalchemy import text
from typer.testing import CliRunner

from huntaze_pipeline.cli import app
from huntaze_pipeline.errors import HuntazeError, MessageError
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings, creator: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    for field, value in settings.model_dump().items():
        if field in ("database_url", "redis_url"):
            value = value.get_secret_value()
        alias = str(Settings.model_fields[field].alias)
        if field in ("home", "database_url", "redis_url", "sqs_queue", "aws_endpoint_url"):
            monkeypatch.setenv(alias, str(value))

    def invoke(*words: str, code: int = 0) -> Result:
        found = CliRunner().invoke(app, list(words))
        if isinstance(found.exception, HuntazeError):
            raise found.exception
        assert found.exit_code == code, found.output
        return found

    return invoke


def send(run: Run, *more: str) -> str:
    words = ("send", "fan-1", "Hello", "-c", "maya", "--topic", "service", "--json")
    found = run("messages", *words, *more)
    return json.loads(found.stdout)["messageId"]


def test_a_message_can_be_sent_followed_cancelled_and_sent_again(run: Run) -> None:
    message = send(run, "--priority", "high", "--key", "k")
    assert send(run, "--priority", "high", "--key", "k") == message
    assert "queued (decided)" in run("messages", "status", message, "-c", "maya").stdout
    run("messages", "cancel", message, "-c", "maya")
    found = run("messages", "status", message, "-c", "maya", "--json").stdout
    assert json.loads(found)["state"] == "cancelled"
    run("messages", "retry", message, "-c", "maya")
    assert "queued (decided)" in run("messages", "status", message, "-c", "maya").stdout


def test_a_message_with_faults_is_refused(run: Run) -> None:
    with pytest.raises(MessageError, match="recipientId"):
        run("messages", "send", "nobody", "Hello", "-c", "maya")


def test_the_relay_rings_and_the_queue_shows_it(run: Run, store: Store) -> None:
    send(run)
    assert "1 messages" in run("relay", "--once").stderr
    with store.worker() as c:
        assert c.scalar(text("select state from messages")) == "queued"
    assert json.loads(run("queue", "stats", "--json").stdout)["dlq"]["waiting"] == 0
    assert "moved 0" in run("queue", "redrive").stdout
    assert "purged" in run("queue", "purge", "--yes").stdout


def test_the_limiter_says_when_it_knows_nothing(run: Run) -> None:
    assert "nothing was ever queued" in run("limiter", "show", "maya-onlyfans").stdout


def test_the_limiter_shows_what_waits(run: Run) -> None:
    send(run)
    run("relay", "--once")

    assert (
        "0 of 10 in 60 s, 0 in flight, 1 waiting" in run("limiter", "show", "maya-onlyfans").stdout
    )
