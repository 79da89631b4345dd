"""One set of promises, kept by the in-memory queue and by SQS."""

import io
import json
import socket
import time
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from huntaze_pipeline.clock import FixedClock
from huntaze_pipeline.delivery.journal import Journal
from huntaze_pipeline.delivery.limiter import Parcel
from huntaze_pipeline.delivery.queue import MemoryQueue, Queue, QueueError, encode
from huntaze_pipeline.delivery.sqs import SqsQueue
from huntaze_pipeline.settings import Settings


@pytest.fixture(params=["memory", "sqs"])
def queue(request: pytest.FixtureRequest) -> Iterator[Queue]:
    if request.param == "memory":
        yield MemoryQueue()
        return
    made = SqsQueue(request.getfixturevalue("lean"))
    yield made
    made.close()


def parcel(name: str, priority: str = "medium", account: str = "maya-onlyfans") -> Parcel:
    return Parcel("maya", name, account, priority, 1_772_452_800_000)


def drain(queue: Queue, priority: str = "medium") -> list[Parcel]:
    found = []
    while batch := queue.receive(priority, wait_s=0):
        queue.delete(priority, batch)
        found += [parcel for item in batch for parcel in item.parcels]
    return found


def test_what_is_sent_is_received_once(queue: Queue) -> None:
    sent = [parcel(f"m{i}", account=f"a{i % 7}") for i in range(400)]

    assert queue.send(sent) == []
    assert sorted(p.message_id for p in drain(queue)) == sorted(p.message_id for p in sent)
    assert drain(queue) == []


def test_the_three_priorities_are_three_queues(queue: Queue) -> None:
    queue.send([parcel("l", "low"), parcel("h", "high"), parcel("m")])

    assert [p.message_id for p in drain(queue, "high")] == ["h"]
    assert [p.message_id for p in drain(queue, "low")] == ["l"]
    assert [p.message_id for p in drain(queue, "medium")] == ["m"]


def test_a_received_note_is_hidden_until_it_is_deleted(queue: Queue) -> None:
    queue.send([parcel("m")])
    received = queue.receive("medium", wait_s=0)

    assert queue.receive("medium", wait_s=0) == []
    medium = next(d for d in queue.depths() if d.name == "medium")
    assert (medium.waiting, medium.in_flight) == (0, 1)
    queue.delete("medium", received)
    assert sum(d.waiting + d.in_flight for d in queue.depths()) == 0


def test_a_batch_holds_at_most_ten(queue: Queue) -> None:
    queue.send([parcel(f"m{i}", account=f"a{i}") for i in range(12)])

    assert len(queue.receive("medium", wait_s=0)) <= 10


def test_purging_drops_everything(queue: Queue) -> None:
    queue.send([parcel("m"), parcel("h", "high")])
    queue.purge()

    assert drain(queue) == drain(queue, "high") == []


def test_a_long_poll_wakes_for_the_first_note(queue: Queue) -> None:
    queue.send([parcel("m")])
    began = time.monotonic()

    assert len(queue.receive("medium", wait_s=5)) == 1
    assert time.monotonic() - began < 3


def test_an_empty_redrive_moves_nothing(queue: Queue) -> None:
    assert queue.redrive() == (0, 0)


def test_a_queue_that_is_away_says_so(lean: Settings) -> None:
    nowhere = lean.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"})
    away = SqsQueue(nowhere)

    with pytest.raises(QueueError, match="SQS"):
        away.send([parcel("m")])
    away.close()


def test_the_queues_keep_what_the_operator_relies_on(lean: Settings) -> None:
    queue = SqsQueue(lean)
    client = queue._ready()
    attributes = client.get_queue_attributes(QueueUrl=queue._url("high"), AttributeNames=["All"])[
        "Attributes"
    ]
    queue.close()

    assert attributes["VisibilityTimeout"] == "30"
    assert attributes["MessageRetentionPeriod"] == "345600"
    assert '"maxReceiveCount": "10"' in attributes["RedrivePolicy"]


def test_the_name_may_be_given_as_the_queues_url(lean: Settings) -> None:
    url = f"https://sqs.eu-west-1.amazonaws.com/123456789012/{lean.sqs_queue}"

    assert SqsQueue(lean.model_copy(update={"sqs_queue": url})).name == lean.sqs_queue


@pytest.mark.parametrize("body", ['{"not": "a note"}', "[" * 100_000], ids=["strange", "deep"])
def test_a_note_that_nobody_can_read_ends_in_the_dead_letter_queue(
    lean: Settings, body: str
) -> None:
    queue = SqsQueue(lean)
    client = queue._ready()
    url = queue._url("medium")
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    client.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="x")
    for _ in range(12):
        assert queue.receive("medium", wait_s=0) == []
    dead = next(d for d in queue.depths() if d.dead)
    queue.close()

    assert dead.waiting == 1


def test_a_body_that_is_no_note_is_told_by_its_id_once(lean: Settings, clock: FixedClock) -> None:
    out = io.StringIO()
    queue = SqsQueue(lean, strange=Journal("worker", clock, out).strange)
    client, url = queue._ready(), queue._url("high")
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    sent = client.send_message(QueueUrl=url, MessageBody="no note", MessageGroupId="x")
    queue.send([parcel("h", "high")])

    taken = [
        note.parcels[0].message_id for _ in range(3) for note in queue.receive("high", wait_s=0)
    ]
    queue.close()

    assert set(taken) == {"h"}
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], line["note_id"]) for line in lines] == [
        ("unreadable", sent["MessageId"])
    ]


def test_dead_notes_go_back_to_the_queue_of_their_priority(lean: Settings) -> None:
    queue = SqsQueue(lean)
    client = queue._ready()
    url = queue._url("high")
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "0"})
    queue.send([parcel("h", "high")])
    for _ in range(11):
        queue.receive("high", wait_s=0)
    client.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "30"})

    assert queue.redrive() == (1, 0)
    assert [p.message_id for p in drain(queue, "high")] == ["h"]
    queue.close()


def test_dead_notes_behind_those_that_nobody_can_read_go_back_too(lean: Settings) -> None:
    queue = SqsQueue(lean)
    client, url = queue._ready(), queue._url("dlq")
    for number in range(12):
        client.send_message(QueueUrl=url, MessageBody=f"no note {number}", MessageGroupId="x")
    client.send_message(QueueUrl=url, MessageBody=encode([parcel("h")]), MessageGroupId="x")

    assert queue.redrive() == (1, 12)
    assert [p.message_id for p in drain(queue)] == ["h"]
    queue.close()


def test_one_who_only_looks_does_not_wait_for_a_silent_queue(lean: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        looks = SqsQueue(lean.model_copy(update={"aws_endpoint_url": where}), hurried=True)
        began = time.monotonic()

        with pytest.raises(QueueError, match="SQS"):
            looks.depths()
        assert time.monotonic() - began < 10
        looks.close()


def test_the_entries_that_failed_are_sent_again(lean: Settings) -> None:
    queue = SqsQueue(lean)
    queue._ready()
    real = queue._client.send_message_batch
    tries: list[int] = []

    def flaky(**call: object) -> object:
        entries = call["Entries"]
        tries.append(len(entries))  # type: ignore[arg-type]
        if len(tries) == 1:
            refused = [{"Id": "1", "SenderFault": False, "Code": "InternalError"}]
            good = [e for e in entries if e["Id"] != "1"]  # type: ignore[attr-defined]
            real(QueueUrl=call["QueueUrl"], Entries=good)
            return {"Failed": refused}
        return real(**call)

    queue._client.send_message_batch = flaky

    assert queue.send([parcel(f"m{i}", account=f"a{i}") for i in range(5)]) == []
    assert tries == [5, 1]
    assert len(drain(queue)) == 5
    queue.close()


def test_no_secret_is_needed_on_a_local_endpoint(lean: Settings) -> None:
    assert not isinstance(lean.aws_endpoint_url, SecretStr)
    queue = SqsQueue(lean)

    assert queue.send([parcel("m")]) == []
    queue.close()
