"""Monitoring against a real PostgreSQL and the local CloudWatch."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text

from huntaze_pipeline.delivery import epoch
from huntaze_pipeline.delivery.breaker import Tuning
from huntaze_pipeline.delivery.circuit import BooksBreaker
from huntaze_pipeline.delivery.limiter import Parcel
from huntaze_pipeline.delivery.queue import MemoryQueue
from huntaze_pipeline.errors import ServiceError
from huntaze_pipeline.monitoring import alarms, circuits, cloudwatch, metrics, pusher
from huntaze_pipeline.settings import Settings
from huntaze_pipeline.store.outflow import Message
from huntaze_pipeline.store.planning import Campaign
from huntaze_pipeline.store.session import Store
from huntaze_pipeline.warehouse.goals import Declared

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SINCE = NOW - timedelta(minutes=1)


def put(store: Store, number: int, state: str, **more: Any) -> None:
    row = {
        "creator_id": "maya", "id": f"m-{number}", "source": "campaign", "source_id": "c-1",
        "fan_id": f"fan-{number}", "platform": "onlyfans", "account_id": "maya-onlyfans",
        "address": "x", "content": "x", "state": state, "idempotency_key": f"m-{number}",
        "not_before": NOW - timedelta(seconds=30), "decided_at": NOW - timedelta(seconds=40),
    }  # fmt: skip
    with store.worker() as c:
        c.execute(insert(Message).values(row | more))


def total(samples: list[metrics.Sample], name: str) -> float:
    return next(s.value for s in samples if s.name == name and not s.dimensions)


@pytest.fixture
def flow(store: Store, creator: str) -> Store:
    """Two sent, one failed, one failed long ago, one waiting for its slot, one due, one to come."""
    recent = NOW - timedelta(seconds=20)
    put(store, 1, "sent", queued_at=recent, sent_at=NOW, ended_at=NOW)
    put(store, 2, "sent", queued_at=recent, sent_at=NOW, ended_at=NOW, platform="email")
    put(store, 3, "failed", queued_at=recent, ended_at=NOW)
    put(store, 4, "failed", queued_at=SINCE, ended_at=SINCE)
    put(store, 5, "queued", queued_at=recent)
    put(store, 6, "decided")
    put(store, 7, "decided", not_before=NOW + timedelta(hours=1))
    put(store, 8, "decided", reason="campaign_paused")
    with store.worker() as c:
        row = {"creator_id": "maya", "id": "c-1", "name": "c", "platforms": [], "status": "active"}
        c.execute(insert(Campaign).values(row))
    return store


def gather(store: Store, **more: Any) -> list[metrics.Sample]:
    return metrics.gather(store, since=SINCE, until=NOW, goals=Declared(), **more)


def test_a_window_counts_what_happened_in_it_and_nothing_else(flow: Store) -> None:
    samples = gather(flow)

    assert total(samples, "MessagesQueued") == 4
    assert total(samples, "MessagesSent") == 2
    assert total(samples, "MessagesFailed") == 1
    assert total(samples, "ErrorRate") == pytest.approx(100 / 3)
    assert total(samples, "CampaignsActive") == 1


def test_waiting_for_a_slot_is_not_queue_depth(flow: Store) -> None:
    samples = gather(flow)

    assert total(samples, "QueueDepth") == 1
    assert total(samples, "MessagesWaiting") == 1
    assert total(samples, "OldestDue") == 30


def test_latency_is_the_time_from_due_to_queued(flow: Store) -> None:
    latency = next(s for s in gather(flow) if s.name == "QueueLatency")

    assert latency.values == {10.0: 4}


def test_messages_are_counted_by_campaign(flow: Store) -> None:
    found = [s for s in gather(flow) if s.name == "MessagesSentByCampaign"]

    assert [(s.value, s.dimensions) for s in found] == [(2, {"Creator": "maya", "Campaign": "c-1"})]


def test_notes_in_sqs_are_part_of_the_depth_and_sqs_away_is_no_failure(flow: Store) -> None:
    queue = MemoryQueue()
    queue.send([Parcel("maya", "m-6", "maya-onlyfans", "high", 0)])

    assert total(gather(flow, queue=queue), "QueueDepth") == 2
    assert total(gather(flow, open_circuits={"email": True}), "CircuitsOpen") == 1


def test_each_platform_has_the_state_of_its_circuit(flow: Store) -> None:
    samples = gather(flow, open_circuits={"email": True, "tiktok": False})

    found = {s.dimensions["Platform"]: s.value for s in samples if s.name == "CircuitState"}
    assert found == {"email": 1, "tiktok": 0}


@pytest.mark.parametrize("trigger", ['{"event": 5}', "5", "[]"])
def test_live_rules_that_cannot_be_read_are_counted(flow: Store, trigger: str) -> None:
    before = total(gather(flow), "RulesBroken")
    with flow.worker() as connection:
        connection.execute(
            text("""insert into automations (creator_id, id, name, trigger, actions, rule_hash)
                values ('maya', 'torn', 'Torn', cast(:trigger as jsonb), '[]', 'h')"""),
            {"trigger": trigger},
        )

    assert (before, total(gather(flow), "RulesBroken")) == (0, 1)


def test_circuits_are_asked_where_the_limiting_is_done(store: Store, lean: Settings) -> None:
    assert set(circuits.states(lean, store).values()) == {False}

    epoch.retreat(store)
    BooksBreaker(store, "sender", Tuning(minimum=1)).report({"email": (0, 1)})
    assert [name for name, is_open in circuits.states(lean, store).items() if is_open] == ["email"]


def test_windows_meet_without_a_gap_and_without_an_overlap(flow: Store, settings: Settings) -> None:
    client = Recorder()
    for seconds in (5, 5, 35, 65):
        at = NOW + timedelta(seconds=seconds)
        pusher.push(flow, client, "Test", now=at, goals=Declared())

    assert client.sums("MessagesSent") == 2
    assert client.sums("MessagesFailed") == 1


def test_a_push_that_fails_is_made_up_for_by_the_next(flow: Store) -> None:
    first, client = NOW + metrics.SETTLE, Recorder(down=True)
    with pytest.raises(ServiceError):
        pusher.push(flow, client, "Test", now=first, goals=Declared())
    client.down = False

    pusher.push(flow, client, "Test", now=first, goals=Declared())

    assert client.sums("MessagesSent") == 2


class Recorder:
    """A CloudWatch that keeps what it was told."""

    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.data: list[dict[str, Any]] = []

    def put_metric_data(self, **told: Any) -> None:
        from botocore.exceptions import EndpointConnectionError

        if self.down:
            raise EndpointConnectionError(endpoint_url="http://x")
        self.data += told["MetricData"]

    def sums(self, name: str) -> float:
        mine = [d for d in self.data if d["MetricName"] == name and not d["Dimensions"]]
        return sum(v * n for d in mine for v, n in zip(d["Values"], d["Counts"], strict=True))


def test_a_wide_distribution_goes_in_parts_that_cloudwatch_takes() -> None:
    client = Recorder()
    sample = metrics.Sample("QueueLatency", "Seconds", {n / 10: 2 for n in range(400)})

    cloudwatch.push(client, "Test", [sample], NOW)

    assert [len(d["Values"]) for d in client.data] == [150, 150, 100]
    assert sum(sum(d["Counts"]) for d in client.data) == 800


def test_numbers_arrive_in_cloudwatch(flow: Store, settings: Settings) -> None:
    client = cloudwatch.connect(settings)
    now = datetime.now(UTC)

    cloudwatch.push(client, settings.sqs_queue or "x", gather(flow), now)

    answer = client.get_metric_statistics(
        Namespace=settings.sqs_queue, MetricName="MessagesSent", Statistics=["Sum"], Period=60,
        Dimensions=[{"Name": "Platform", "Value": "email"}],
        StartTime=now - timedelta(minutes=5), EndTime=now + timedelta(minutes=5),
    )  # fmt: skip
    assert sum(point["Sum"] for point in answer["Datapoints"]) == 1


def test_alarms_and_the_dashboard_are_put_in_place_and_old_ones_go(settings: Settings) -> None:
    client = cloudwatch.connect(settings)
    wanted = alarms.load(settings.rules_dir)
    old = alarms.Alarms(wanted.namespace, (*wanted.alarms, _named("gone", wanted.alarms[0])))
    cloudwatch.apply(client, old, region="us-east-1")

    names = cloudwatch.apply(client, wanted, region="us-east-1")

    there = client.describe_alarms(AlarmNamePrefix=cloudwatch.PREFIX)["MetricAlarms"]
    assert {a["AlarmName"] for a in there} == set(names)
    latency = next(a for a in there if a["AlarmName"] == "huntaze-queue-latency")
    assert (latency["ExtendedStatistic"], latency["Threshold"]) == ("p95", 5.0)
    body = client.get_dashboard(DashboardName=cloudwatch.DASHBOARD)["DashboardBody"]
    assert "MessagesQueued" in body


def _named(name: str, alarm: alarms.Alarm) -> alarms.Alarm:
    from dataclasses import replace

    return replace(alarm, id=name)


def test_the_log_of_pushes_is_one_checkpoint(flow: Store) -> None:
    pusher.push(flow, Recorder(), "Test", now=NOW, goals=Declared())

    with flow.worker() as c:
        position = c.scalar(text("select position from checkpoints where name = 'monitoring'"))
    assert position == {"until": (NOW - metrics.SETTLE).isoformat()}
