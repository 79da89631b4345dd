"""Pausing and draining on real servers: at once, across restarts, and seen where one looks."""

import asyncio
from typing import Any

import pytest
import scene
from sqlalchemy import text
from typer.testing import CliRunner

from huntaze_pipeline import cli
from huntaze_pipeline.clock import system_clock
from huntaze_pipeline.delivery import messages, pauses, relay, worker
from huntaze_pipeline.delivery.outfit import Options
from huntaze_pipeline.delivery.platforms.base import Capabilities, Kind, Outcome, Outgoing
from huntaze_pipeline.delivery.sender import Sender
from huntaze_pipeline.errors import ConflictError, NotFoundError
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

QUICK = Options(poll_s=0.02, long_poll_s=1, timeout_s=1.0, lease_s=3.0, margin_s=0.2, relay=True)


class Counting:
    """A platform that takes everything and counts it."""

    capabilities = Capabilities("onlyfans", 1000)

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        self.sent.append(message.message_id)
        return Outcome(Kind.SENT, platform_ref="ref", status_code=200)

    async def look_up(self, message: Outgoing, *, timeout_s: float) -> Outcome:
        return Outcome(Kind.SENT)

    async def close(self) -> None:
        self.sent = list(self.sent)


def decide(store: Store) -> str:
    return scene.decide(store, scene.decision(source_id=str(system_clock())))[0]


def run(settings: Settings, store: Store, platform: Counting) -> None:
    """Let a new sender work until it is idle."""

    async def work() -> None:
        made = worker.parts(settings, store=store, platforms={"onlyfans": platform}, out=None)
        try:
            async with asyncio.timeout(60):
                await Sender(made, QUICK).run(asyncio.Event(), until_idle=True)
        finally:
            worker.close(made)

    asyncio.run(work())


def act(store: Store, what: Any, scope: str, name: str) -> None:
    with store.worker() as c:
        what(c, scope, name, actor="test", now=system_clock())


@pytest.mark.parametrize(
    ("scope", "name"),
    [("all", ""), ("platform", "onlyfans"), ("account", "maya-onlyfans")],
)
def test_a_pause_holds_messages_and_resuming_sends_them_at_once(
    settings: Settings, store: Store, creator: str, scope: str, name: str
) -> None:
    platform = Counting()
    message = decide(store)
    relay.publish(store, None, system_clock(), direct=None)
    act(store, pauses.pause, scope, name)
    act(store, pauses.pause, scope, name)
    assert messages.status(store, creator, message).reason == f"{scope}_paused"
    run(settings, store, platform)
    run(settings, store, platform)  # a restart changes nothing
    assert platform.sent == []
    with store.worker() as c:
        assert [p["scope"] for p in pauses.every(c)] == [scope]

    act(store, pauses.resume, scope, name)
    assert messages.status(store, creator, message).reason is None
    run(settings, store, platform)
    assert platform.sent == [message]


def test_a_paused_platform_holds_up_no_other(
    settings: Settings, store: Store, creator: str
) -> None:
    platform = Counting()
    act(store, pauses.pause, "platform", "email")
    message = decide(store)
    run(settings, store, platform)

    assert platform.sent == [message]


def test_what_cannot_be_paused_is_named(store: Store, creator: str) -> None:
    with pytest.raises(NotFoundError, match="no platform 'fax'"):
        act(store, pauses.pause, "platform", "fax")
    with pytest.raises(NotFoundError, match="no account 'nobody'"):
        act(store, pauses.pause, "account", "nobody")
    with store.worker() as c:
        c.execute(text("update accounts set status = 'banned' where id = 'maya-email'"))
    with pytest.raises(ConflictError, match="banned"):
        act(store, pauses.resume, "account", "maya-email")


@pytest.fixture
def huntaze(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command against the test's servers."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    for name, value in {
        "HUNTAZE_HOME": str(settings.home),
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "SQS_RATE_LIMITER_QUEUE": settings.sqs_queue or "",
        "AWS_ENDPOINT_URL": settings.aws_endpoint_url or "",
    }.items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> str:
        result = CliRunner().invoke(cli.app, list(words), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    return call


def test_the_commands_pause_resume_and_show_it(
    settings: Settings, store: Store, creator: str, huntaze: Any
) -> None:
    decide(store)
    run(settings, store, Counting())
    assert "paused" in huntaze("queue", "pause", "--platform", "onlyfans")
    huntaze("queue", "pause", "--account", "maya-onlyfans")

    shown = huntaze("limiter", "show", "maya-onlyfans")

    assert "1 of 10 in 60 s" in shown
    assert "a slot is free" in shown
    assert "(platform_paused, account_paused)" in shown
    huntaze("queue", "resume", "--platform", "onlyfans")
    huntaze("queue", "resume", "--account", "maya-onlyfans")
    assert "paused" not in huntaze("limiter", "show", "maya-onlyfans")


def test_draining_takes_nothing_new_and_returns_when_all_is_sent(
    settings: Settings, store: Store, creator: str, huntaze: Any
) -> None:
    platform = Counting()
    first = decide(store)
    run(settings, store, platform)
    assert "drained" in huntaze("queue", "drain", "--timeout", "20")
    second = decide(store)
    run(settings, store, platform)
    assert platform.sent == [first]

    huntaze("queue", "resume", "--all")
    run(settings, store, platform)
    assert platform.sent == [first, second]
