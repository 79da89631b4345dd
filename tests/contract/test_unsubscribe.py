"""The links in our e-mails, from the letter's header to the sender that skips what waited."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from huntaze_pipeline.api import app
from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.delivery import intents, outbox
from huntaze_pipeline.delivery.limiter import Grant
from huntaze_pipeline.delivery.platforms.base import Outgoing
from huntaze_pipeline.delivery.platforms.directory import letterhead
from huntaze_pipeline.delivery.platforms.letter import compose
from huntaze_pipeline.rulebook.decision import Decision
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@dataclass
class Scene:
    """One letter to fan-1, and the API that its link leads to."""

    settings: Settings
    store: Store
    clock: FixedClock
    service: Any
    message: str

    def link(self) -> str:
        """The address in the letter's own header, as a mail program reads it."""
        sent = Outgoing(self.message, "maya-email", "fan-1@example.com", "Hi", "Hi", "k")
        letter = compose(sent, letterhead(self.settings), self.clock())
        head = message_from_bytes(letter.content, policy=default)["List-Unsubscribe"]
        return str(head).strip("<>")

    def call(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.service)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.request(method, url, **options)

        return asyncio.run(answer())

    def ask(self, query: str) -> list[Any]:
        with self.store.worker() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def consents(self) -> list[Any]:
        return self.ask("select fan_id, topic, granted from consents order by fan_id, topic")


@pytest.fixture
def scene(settings: Settings, store: Store, creator: str, clock: FixedClock) -> Iterator[Scene]:
    ready = settings.model_copy(update={"webhook_secret": SecretStr("hush")})
    service = app.create(ready, clock)
    yield Scene(ready, store, clock, service, decide(store, clock, source_id="spring"))
    service.state.store.engine.dispose()


def decide(store: Store, clock: FixedClock, **changes: Any) -> str:
    fields = {
        "creator_id": "maya", "source": "campaign", "source_id": "spring", "rule_hash": "h",
        "fan_id": "fan-1", "platform": "email", "account_id": "maya-email",
        "address": "fan-1@example.com", "content": "Hello", "not_before": clock(),
        "decided_at": clock(),
    }  # fmt: skip
    decision = Decision(**(fields | changes))
    with store.worker() as connection:
        outbox.record(connection, [decision])
    return decision.message_id


def granted(scene: Scene) -> dict[tuple[str, str], bool]:
    return {(fan, topic): yes for fan, topic, yes in scene.consents()}


def test_a_scanner_that_follows_the_link_changes_nothing(scene: Scene) -> None:
    before = scene.consents()
    page = scene.call("GET", scene.link())

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.text.count("<button") == 1
    assert '<form method="post">' in page.text
    assert "marketing" in page.text
    assert "Maya" in page.text
    assert scene.call("HEAD", scene.link()).status_code == 405
    assert scene.consents() == before
    assert scene.ask("select * from inbox") == []


@pytest.mark.parametrize("body", [{}, {"data": ONE_CLICK}, {"files": {"List-Unsubscribe": b"x"}}])
def test_a_post_withdraws_that_topic_for_that_fan_only(scene: Scene, body: Any) -> None:
    with scene.store.worker() as connection:
        connection.execute(
            text("""insert into consents (creator_id, fan_id, topic, granted, source)
                values ('maya', 'fan-1', 'news', true, 'test')""")
        )
    answer = scene.call("POST", scene.link(), **body)

    assert answer.status_code == 200
    assert granted(scene) == {
        ("fan-1", "marketing"): False, ("fan-1", "news"): True,
        ("fan-2", "marketing"): True, ("fan-3", "marketing"): True,
    }  # fmt: skip


def test_the_event_is_written_once_however_often_the_button_is_pressed(scene: Scene) -> None:
    for _ in range(3):
        assert scene.call("POST", scene.link(), data=ONE_CLICK).status_code == 200

    (row,) = scene.ask(
        "select event_id, name, fan_id, campaign_id, message_id, platform, occurred_at,"
        " properties ->> 'topic' from inbox"
    )
    assert row == (
        f"unsubscribed:{scene.message}", "unsubscribed", "fan-1", "spring", scene.message,
        "email", scene.clock(), "marketing",
    )  # fmt: skip


def test_the_newest_word_is_the_fans_own_even_when_another_clock_runs_ahead(scene: Scene) -> None:
    ahead = scene.clock() + timedelta(seconds=30)
    with scene.store.worker() as connection:
        connection.execute(
            text("update consents set granted = true, changed_at = :at"), {"at": ahead}
        )
    scene.call("POST", scene.link())

    assert granted(scene)["fan-1", "marketing"] is False


def test_who_agreed_again_can_leave_again_by_the_same_link(scene: Scene) -> None:
    scene.call("POST", scene.link())
    with scene.store.worker() as connection:
        connection.execute(text("update consents set granted = true"))
    scene.call("POST", scene.link())

    assert granted(scene)["fan-1", "marketing"] is False


def test_a_fan_without_a_consent_row_gets_one_that_says_no(scene: Scene) -> None:
    with scene.store.worker() as connection:
        connection.execute(text("delete from consents"))
    scene.call("POST", scene.link())

    assert scene.consents() == [("fan-1", "marketing", False)]


def test_a_message_that_waits_is_skipped_by_the_sender(scene: Scene) -> None:
    other = decide(scene.store, scene.clock, fan_id="fan-2", address="fan-2@example.com")
    scene.call("POST", scene.link())
    with scene.store.worker() as connection:
        connection.execute(
            text("""insert into checkpoints (name, position)
                values ('limiter', '{"epoch": "e"}')""")
        )
    grants = [Grant("maya-email", "maya", m, "p", "medium") for m in (scene.message, other)]
    stop, intent = intents.commit(
        scene.store, grants, epoch="e", worker="w", lease_s=30, now=scene.clock()
    )

    assert stop == intents.Stop("consent_withdrawn")
    assert isinstance(intent, intents.Intent)


def test_a_wrong_token_and_an_unknown_message_are_the_same_404(scene: Scene) -> None:
    link = scene.link()
    stranger = letterhead(scene.settings).link("no-such-message")
    wrong = [re.sub(r"token=.*", "token=" + t, link) for t in ("", "0" * 32, "%C3%A9", "x" * 900)]
    for url in (stranger, *wrong, link.partition("?")[0]):
        for method in ("GET", "POST"):
            answer = scene.call(method, url)
            document = answer.json() | {"instance": ""}

            assert answer.headers["content-type"] == "application/problem+json"
            assert document == scene.call("GET", wrong[0]).json() | {"instance": ""}
            assert document["status"] == 404
    assert all(granted(scene).values())


@pytest.mark.parametrize("secret", [None, SecretStr("")])
def test_without_a_secret_nobody_is_believed(scene: Scene, secret: SecretStr | None) -> None:
    scene.settings = scene.settings.model_copy(update={"webhook_secret": secret})
    scene.service.state.settings = scene.settings
    answer = scene.call("POST", scene.link())

    assert answer.status_code == 503
    assert "HUNTAZE_WEBHOOK_SECRET" in answer.json()["detail"]
    assert all(granted(scene).values())


def test_what_creators_call_themselves_is_text_on_the_page(scene: Scene) -> None:
    with scene.store.worker() as connection:
        connection.execute(text("update creators set name = '<script>{x}</script>'"))
    page = scene.call("GET", scene.link())

    assert "<script>" not in page.text
    assert "&lt;script&gt;{x}" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
