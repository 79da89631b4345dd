"""The commands of delivery, as a person types them."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from sqlalchemy import text
from typer.testing import CliRunner

from huntaze_pipeline.cli import app
from huntaze_pipeline.errors import HuntazeError, MessageError, NotFoundError
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
    words = ("send", "fan-1", "Hello", "-c", "maya", "--json")
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


def test_a_creator_that_is_not_there_is_said_before_anything_else(run: Run) -> None:
    words = (("send", "fan-1", "Hello"), ("status", "m"), ("retry", "m"), ("cancel", "m"))
    for each in words:
        with pytest.raises(NotFoundError, match="no creator 'nosuch'; see `huntaze creators list`"):
            run("messages", *each, "-c", "nosuch")


def test_a_message_that_is_not_there_is_said_with_where_ids_come_from(run: Run) -> None:
    with pytest.raises(NotFoundError, match="'nosuch'; the id is the one that sending it told"):
        run("messages", "status", "nosuch", "-c", "maya")


def test_a_status_says_until_when_and_since_when(run: Run, store: Store) -> None:
    message = send(run)
    later = "not_before = '2100-01-02T08:30:00Z', reason = 'quiet_hours'"
    with store.worker() as c:
        c.execute(text(f"update messages set {later}"))
    held = run("messages", "status", message, "-c", "maya").stdout
    with store.worker() as c:
        c.execute(text("update messages set state = 'sent', sent_at = '2026-03-02T12:00:00Z'"))
    sent = run("messages", "status", message, "-c", "maya").stdout

    assert "queued (decided: quiet_hours), not before 2100-01-02 08:30 UTC" in held
    assert sent.strip() == f"{message} sent at 2026-03-02 12:00:00 UTC"


def test_the_relay_rings_and_the_queue_shows_it(run: Run, store: Store) -> None:
    send(run)
    assert "1 message on its way" in run("relay", "--once").stderr
    with store.worker() as c:
        assert c.scalar(text("select state from messages")) == "queued"
    assert json.loads(run("queue", "stats", "--json").stdout)["dlq"]["waiting"] == 0
    assert "moved 0" in run("queue", "redrive").stdout
    assert "purged" in run("queue", "purge", "--yes").stdout


def test_the_limiter_says_when_it_knows_nothing(run: Run) -> None:
    assert "nothing was ever queued" in run("limiter", "show", "maya-onlyfans").stdout


def test_the_limiter_tells_an_account_that_is_not_there(run: Run) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'maya-onlyfans'"):
        run("limiter", "show", "maya-onlyfan")
    with pytest.raises(NotFoundError, match=r"of that creator are maya-email, .*maya-tiktok"):
        run("limiter", "show", "maya")


def test_the_limiter_shows_what_waits(run: Run) -> None:
    send(run)
    run("relay", "--once")

    assert (
        "0 of 10 in 60 s, 0 in flight, 1 waiting" in run("limiter", "show", "maya-onlyfans").stdout
    )
