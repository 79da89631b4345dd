"""The sender as a Lambda function, on real PostgreSQL, Redis and SQS, against an HTTP gateway."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
import scene
from gateway import Gateway
from pydantic import SecretStr
from scene import states

from huntaze_pipeline.delivery import invocation, relay, worker
from huntaze_pipeline.delivery.sqs import SqsQueue
from huntaze_pipeline.local import stack
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.session import Store

REMAINING_S = 30.0


@dataclass
class Clockwork:
    """Lambda's context, as far as the handler looks at it."""

    remaining_s: float = REMAINING_S

    def get_remaining_time_in_millis(self) -> int:
        return int(self.remaining_s * 1000)


@pytest.fixture
def account(store: Store, creator: str) -> str:
    scene.accounts(store, "quick", count=5, window_s=60)
    return "quick"


def decide(store: Store, account: str, count: int) -> None:
    scene.decide(store, *scene.spread([account], count))


@contextmanager
def function(settings: Settings, gateway: Gateway) -> Iterator[invocation.Function]:
    made = invocation.Function(worker.parts(scene.pointed(settings, gateway), out=None))
    try:
        yield made
    finally:
        made.close()


def ringing(settings: Settings, store: Store) -> dict[str, Any]:
    """Ring for what is due, and take the notes as Lambda hands them over."""
    queue = SqsQueue(settings, create=True)
    relay.publish(store, queue, datetime.now(UTC))
    client = boto3.client(
        "sqs", region_name="us-east-1", endpoint_url=settings.aws_endpoint_url,
        aws_access_key_id="local", aws_secret_access_key="local",
    )  # fmt: skip
    url = client.get_queue_url(QueueName=settings.sqs_queue)["QueueUrl"]
    found = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2)
    client.close()
    queue.close()
    records = [
        {"messageId": m["MessageId"], "receiptHandle": m["ReceiptHandle"], "body": m["Body"]}
        for m in found.get("Messages", [])
    ]
    assert records
    return {"Records": records}


def test_an_invocation_sends_what_its_notes_ring_for(
    settings: Settings, store: Store, account: str
) -> None:
    decide(store, account, 3)
    event = ringing(settings, store)

    with Gateway() as gateway, function(settings, gateway) as made:
        answer = made.invoke(event, REMAINING_S)

    assert answer == {"batchItemFailures": []}
    assert sorted(states(store).values()) == ["sent"] * 3
    assert set(gateway.counts().values()) == {1}


def test_a_note_that_comes_twice_sends_nothing_twice(
    settings: Settings, store: Store, account: str
) -> None:
    decide(store, account, 2)
    event = ringing(settings, store)

    with Gateway() as gateway, function(settings, gateway) as made:
        made.invoke(event, REMAINING_S)
        made.invoke(event, REMAINING_S)

    assert len(gateway.arrivals) == 2


def test_what_waits_for_its_window_is_not_waited_for_but_left_to_a_later_invocation(
    settings: Settings, store: Store, account: str
) -> None:
    decide(store, account, 8)
    event = ringing(settings, store)

    with Gateway() as gateway, function(settings, gateway) as made:
        began = time.monotonic()
        made.invoke(event, REMAINING_S)
        took = time.monotonic() - began

    assert len(gateway.arrivals) == 5
    assert sorted(states(store).values()) == ["queued"] * 3 + ["sent"] * 5
    assert took < REMAINING_S - invocation.RESERVE_S


def test_a_scheduled_invocation_sends_what_an_earlier_one_parked(
    settings: Settings, store: Store, account: str
) -> None:
    decide(store, account, 4)
    event = ringing(settings, store)

    with Gateway() as gateway, function(settings, gateway) as made:
        made.invoke(event, 0.0)
        parked = len(gateway.arrivals)
        made.invoke({}, REMAINING_S)

    assert parked == 0
    assert sorted(states(store).values()) == ["sent"] * 4


def test_a_body_that_is_no_note_is_left_to_the_dead_letter_queue_and_stops_no_other(
    settings: Settings, store: Store, account: str
) -> None:
    decide(store, account, 1)
    event = ringing(settings, store)
    event["Records"].append({"messageId": "strange", "receiptHandle": "r", "body": "{}"})

    with Gateway() as gateway, function(settings, gateway) as made:
        answer = made.invoke(event, REMAINING_S)

    assert answer == {"batchItemFailures": [{"itemIdentifier": "strange"}]}
    assert sorted(states(store).values()) == ["sent"]


def test_notes_that_cannot_be_parked_are_all_given_back(
    settings: Settings, store: Store, account: str
) -> None:
    decide(store, account, 2)
    event = ringing(settings, store)
    away = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})

    with Gateway() as gateway, function(away, gateway) as made:
        answer = made.invoke(event, REMAINING_S)

    ids = [record["messageId"] for record in event["Records"]]
    assert answer == {"batchItemFailures": [{"itemIdentifier": one} for one in ids]}
    assert gateway.arrivals == []


def test_the_handler_reads_the_settings_of_its_environment(
    settings: Settings, store: Store, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(store, account, 1)
    event = ringing(settings, store)

    with Gateway() as gateway:
        for name, value in stack.environment(scene.pointed(settings, gateway)).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(invocation, "_kept", [])
        answer = invocation.handler(event, Clockwork())
        invocation._kept[0].close()

    assert answer == {"batchItemFailures": []}
    assert sorted(states(store).values()) == ["sent"]
