"""Webhooks against a real TLS server and the real store: each tried until it is taken, all kept."""

import contextlib
import ipaddress
import json
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from huntaze_pipeline.campaigns import reactions
from huntaze_pipeline.errors import NotFoundError
from huntaze_pipeline.events import inbox
from huntaze_pipeline.events.envelope import Event
from huntaze_pipeline.rulebook import policies as policies_
from huntaze_pipeline.store.automations import Automation, Effect, Execution, WebhookAttempt
from huntaze_pipeline.webhooks import courier, log, signing
from huntaze_pipeline.webhooks.wire import LARGEST, Wire

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CERTIFICATE = Path(__file__).with_name("localhost.pem")
MASTER = b"master"


class Receiver(BaseHTTPRequestHandler):
    """Answers as the test says and remembers what it was asked."""

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        server.asked.append((self.path, dict(self.headers), body))
        status, headers, answer = server.script.pop(0) if server.script else (200, {}, b"ok")
        if status == 0:
            time.sleep(1.5)
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):  # who has read enough hangs up
            self.wfile.write(answer)

    def log_message(self, *_):
        return


@pytest.fixture
def receiver():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.asked, server.script = [], []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def wire():
    trusted = ssl.create_default_context(cafile=str(CERTIFICATE))
    return Wire([ipaddress.ip_network("127.0.0.0/8")], trusted, seconds=30)


def rule(store, url, **webhook):
    step = {"webhook": {"url": url, "body": {"who": "{{ fan.name }}"}, **webhook}}
    values = {
        "creator_id": "maya", "id": "hook", "name": "hook", "trigger": {"event": "tip"},
        "steps": [step], "actions": [], "rule_hash": "h", "updated_at": NOON,
    }  # fmt: skip
    with store.worker() as connection:
        connection.execute(insert(Automation).values(values))


def tip(store, settings, event_id="t1"):
    event = Event(
        creator_id="maya", event_id=event_id, name="tip", fan_id="fan-1", occurred_at=NOON,
        source="api", value_micros=1, currency="USD",
    )  # fmt: skip
    policies = policies_.load_policies(settings.rules_dir)
    with store.worker() as connection:
        inbox.append(connection, [event])
        reactions.react(connection, None, [event], policies, NOON)


def effects(store):
    with store.worker() as connection:
        return connection.execute(select(Effect.state, Effect.reason, Effect.attempts)).all()


def attempts(store):
    columns = (WebhookAttempt.number, WebhookAttempt.status, WebhookAttempt.reason)
    with store.worker() as connection:
        return connection.execute(select(*columns).order_by(*columns[:1])).all()


@pytest.fixture
def hooked(store, creator, settings, receiver):
    rule(store, f"https://localhost:{receiver.server_port}/in?x=1", headers={"X-Team": "crm"})
    tip(store, settings)
    return store


def test_a_step_s_request_arrives_once_signed_with_what_the_rule_says(hooked, receiver, wire):
    assert courier.deliver(hooked, MASTER, NOON, wire=wire) == courier.Delivered(1, 0, 0)
    assert courier.deliver(hooked, MASTER, NOON, wire=wire) == courier.Delivered(0, 0, 0)
    ((path, headers, body),) = receiver.asked
    told = json.loads(body)
    assert path == "/in?x=1"
    assert (told["data"], told["fan"], told["automation"]) == ({"who": "Fan-1"}, "fan-1", "hook")
    shared = signing.secret(MASTER, "maya")
    wanted = signing.headers(shared, headers["webhook-id"], NOON, body)
    assert headers["webhook-signature"] == wanted["webhook-signature"]
    assert headers["x-team"] == "crm"
    assert effects(hooked) == [("delivered", None, 1)]


def test_what_fails_is_tried_again_later_and_given_up_in_the_end(hooked, receiver, wire):
    receiver.script = [(500, {}, b"no"), (302, {"location": "https://127.0.0.1/"}, b"")]
    receiver.script += [(503, {"retry-after": "120"}, b"")] * 6
    now = NOON
    for number in range(1, courier.ATTEMPTS + 1):
        assert courier.deliver(hooked, MASTER, now, wire=wire) != courier.Delivered(0, 0, 0)
        assert len(receiver.asked) == number
        now += timedelta(hours=7)
    assert [row.status for row in attempts(hooked)] == [500, 302] + [503] * 6
    assert effects(hooked) == [("failed", "status 503", 8)]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.asked}) == 1


def test_a_server_that_asks_for_time_is_left_alone_for_so_long(hooked, receiver, wire):
    receiver.script = [(429, {"retry-after": "120"}, b"")]
    courier.deliver(hooked, MASTER, NOON, wire=wire)
    courier.deliver(hooked, MASTER, NOON + timedelta(seconds=119), wire=wire)
    assert len(receiver.asked) == 1
    courier.deliver(hooked, MASTER, NOON + timedelta(seconds=130), wire=wire)
    assert effects(hooked) == [("delivered", None, 2)]


def test_slow_endless_and_vanished_servers_end_an_attempt_and_nothing_else(hooked, receiver, wire):
    receiver.script = [(0, {}, b""), (200, {}, b"x" * (LARGEST * 20))]
    courier.deliver(hooked, MASTER, NOON, wire=replace(wire, seconds=1))
    assert attempts(hooked)[0].reason.startswith("timeout")
    courier.deliver(hooked, MASTER, NOON + timedelta(hours=1), wire=wire)
    assert effects(hooked) == [("delivered", None, 2)]
    with hooked.worker() as connection:
        said = connection.execute(select(WebhookAttempt.answer).order_by("number")).scalars().all()
    assert [len(text) for text in said] == [0, 300]


def test_an_inner_address_and_a_stranger_s_certificate_get_nothing(hooked, receiver, wire):
    assert courier.deliver(hooked, MASTER, NOON, wire=Wire()) == courier.Delivered(0, 1, 0)
    assert "not public" in effects(hooked)[0].reason
    with hooked.worker() as connection:
        connection.execute(update(Effect).values(state="pending", due_at=NOON))
    strict = Wire(wire.allowed, seconds=30)
    assert courier.deliver(hooked, MASTER, NOON, wire=strict) == courier.Delivered(0, 0, 1)
    assert receiver.asked == []


def test_a_request_whose_process_died_is_sent_again_with_the_same_id(hooked, receiver, wire):
    class Dies(Wire):
        async def post(self, url, body, headers):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        courier.deliver(hooked, MASTER, NOON, wire=Dies())
    assert courier.deliver(hooked, MASTER, NOON, wire=wire) == courier.Delivered(0, 0, 0)
    later = NOON + courier.LEASE
    assert courier.deliver(hooked, MASTER, later, wire=wire) == courier.Delivered(1, 0, 0)
    assert effects(hooked) == [("delivered", None, 2)]


def test_what_was_given_up_can_be_tried_once_more_by_hand(hooked, receiver, wire):
    receiver.script = [(410, {}, b"bye")]
    courier.deliver(hooked, MASTER, NOON, wire=wire)
    with hooked.tenant("maya") as connection:
        (row,) = log.recent(connection, "maya", "failed")
        assert (row["reason"], row["status"], row["answer"]) == ("gone", 410, "bye")
        log.again(connection, "maya", row["id"], NOON)
    assert courier.deliver(hooked, MASTER, NOON, wire=wire).sent == 1
    with hooked.tenant("maya") as connection, pytest.raises(NotFoundError):
        log.again(connection, "maya", row["id"], NOON)


def test_nothing_is_sent_while_the_automation_or_the_passage_is_paused(hooked, receiver, wire):
    for table, values, back in (
        (Automation, {"paused_at": NOON}, {"paused_at": None}),
        (Execution, {"state": "paused"}, {"state": "completed"}),
    ):
        with hooked.worker() as connection:
            connection.execute(update(table).values(**values))
        assert courier.deliver(hooked, MASTER, NOON, wire=wire) == courier.Delivered(0, 0, 0)
        with hooked.worker() as connection:
            connection.execute(update(table).values(**back))
    assert courier.deliver(hooked, MASTER, NOON, wire=wire).sent == 1
